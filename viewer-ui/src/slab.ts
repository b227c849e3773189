/** The slab of the molecule that is seen: what lies before its front or behind its back is cut off. */

import { Plane, Vector3 } from "three";
import { Extent } from "./orbit";

export type Cut = "off" | "view" | "molecule";

export class Slab {
  cut: Cut = "off";
  front = 0; // Å from the middle of the molecule towards the eye
  thickness = 0; // Å
  readonly planes = [new Plane(), new Plane()];
  private normal = new Vector3(0, 0, 1);

  constructor(private extent: Extent) {}

  /** Of the molecule, Å. */
  get reach(): number {
    return this.extent.reach;
  }

  get isCut(): boolean {
    return this.cut !== "off";
  }

  /** Before drawing; `towards` is where the eye is. One that is fixed in the molecule stays. */
  update(towards: Vector3): void {
    if (this.cut !== "molecule") this.normal.copy(towards);
    const at = this.normal.dot(this.extent.middle) + this.front;
    this.planes[0].normal.copy(this.normal).negate();
    this.planes[0].constant = at;
    this.planes[1].normal.copy(this.normal);
    this.planes[1].constant = this.thickness - at;
  }
}
