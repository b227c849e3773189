/** Domains of the molecule: which Gaussians are in each, which are seen, which is held still. */

import { CATEGORIES, Rgb } from "./colors";
import { Job, Model, unpackRows } from "./protocol";
import { Part } from "./rigid";

export type Seen = "shown" | "faded" | "hidden";
export const REST = "rest",
  WHOLE = "whole";

export interface Domain {
  name: string;
  color: Rgb | null; // null: that of the molecule
  part: Part;
  seen: Seen;
}

export class Domains {
  /** Those of the job, then the Gaussians that are in none of them. */
  readonly list: Domain[] = [];
  readonly whole: Part;
  fixed: Domain | null = null;
  private label: Int16Array;

  /** As the server tells them; how those of the same names were seen `before` stays. */
  constructor(told: Job["domains"], neutral: Model, before?: Domains) {
    const count = neutral.amplitude.length;
    this.label = new Int16Array(count).fill(told.length);
    told.forEach(({ name, inside }, k) => {
      const members = unpackRows(inside, count);
      // Where two overlap, a Gaussian is seen as of the first.
      for (let i = 0; i < count; i++)
        if (members[i] && this.label[i] === told.length) this.label[i] = k;
      const color = CATEGORIES[k % CATEGORIES.length];
      this.list.push({ name, color, part: new Part(members, neutral), seen: "shown" });
    });
    const rest = Uint8Array.from(this.label, (k) => Number(k === told.length));
    if (told.length && rest.includes(1))
      this.list.push({ name: REST, color: null, part: new Part(rest, neutral), seen: "shown" });
    this.whole = new Part(new Uint8Array(count).fill(1), neutral);
    for (const domain of this.list) {
      domain.seen = before?.list.find(({ name }) => name === domain.name)?.seen ?? "shown";
      if (before?.fixed?.name === domain.name) this.fixed = domain;
    }
  }

  /** How the domain of a Gaussian is seen. */
  seen(i: number): Seen {
    return this.list[this.label[i]]?.seen ?? "shown";
  }

  color(i: number): Rgb | null {
    return this.list[this.label[i]]?.color ?? null;
  }

  has(seen: Seen): boolean {
    return this.list.some((domain) => domain.seen === seen);
  }

  /** The Gaussians that are seen so; the others are without amplitude. */
  only(model: Model, seen: Seen): Model {
    if (seen === "shown" && !this.has("faded") && !this.has("hidden")) return model;
    const amplitude = model.amplitude.map((value, i) => (this.seen(i) === seen ? value : 0));
    return { ...model, amplitude };
  }

  /** Place of the one held still among those of the job, the rest after them; null without one. */
  get numberOfFixed(): number | null {
    return this.fixed && this.list.indexOf(this.fixed);
  }

  /** `model` with the domain that is held still lying on that of `reference`. */
  place(model: Model, reference: Model): Model {
    return this.fixed && model !== reference ? this.fixed.part.hold(model, reference) : model;
  }
}
