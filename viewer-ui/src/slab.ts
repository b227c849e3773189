/** The slab of the molecule that is seen: what lies before its front or behind its back is cut off. */

import { Plane, Vector3 } from "three";

export type Cut = "off" | "view" | "molecule";

export class Slab {
  cut: Cut = "off";
  front: number; // Å from the middle of the molecule towards the eye
  thickness: number; // Å
  readonly planes = [new Plane(), new Plane()];
  private normal = new Vector3(0, 0, 1);

  /** Of a molecule with this middle and radius, Å. */
  constructor(
    private middle: Vector3,
    readonly reach: number,
  ) {
    this.front = 0;
    this.thickness = 2 * reach;
  }

  get isCut(): boolean {
    return this.cut !== "off";
  }

  /** Before drawing; `towards` is where the eye is. One that is fixed in the molecule stays. */
  update(towards: Vector3): void {
    if (this.cut !== "molecule") this.normal.copy(towards);
    const at = this.normal.dot(this.middle) + this.front;
    this.planes[0].normal.copy(this.normal).negate();
    this.planes[0].constant = at;
    this.planes[1].normal.copy(this.normal);
    this.planes[1].constant = this.thickness - at;
  }
}
