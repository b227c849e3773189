/** Which particles are chosen, with every earlier choice. */

export type Combine = "replace" | "add" | "remove";
const REMEMBERED = 50;

export class Selection {
  chosen: Uint8Array;
  count = 0;
  onChange: () => void = () => {};
  private before: Uint8Array[] = [];

  constructor(private particles: number) {
    this.chosen = new Uint8Array(particles);
  }

  apply(found: Uint8Array, how: Combine): void {
    const next = how === "replace" ? found : this.chosen.slice();
    if (how === "add") for (let i = 0; i < next.length; i++) next[i] |= found[i];
    if (how === "remove") for (let i = 0; i < next.length; i++) next[i] &= 1 - found[i];
    this.before.push(this.chosen);
    if (this.before.length > REMEMBERED) this.before.shift();
    this.set(next);
  }

  clear(): void {
    this.apply(new Uint8Array(this.particles), "replace");
  }

  /** Of other particles: what was chosen before means nothing. */
  reset(particles: number): void {
    this.particles = particles;
    this.before = [];
    this.set(new Uint8Array(particles));
  }

  undo(): boolean {
    const last = this.before.pop();
    if (last) this.set(last);
    return last !== undefined;
  }

  private set(next: Uint8Array): void {
    this.chosen = next;
    let count = 0;
    for (let i = 0; i < next.length; i++) count += next[i];
    this.count = count;
    this.onChange();
  }
}

const BANDS = 256; // of the outline's height: each knows the few edges that cross it

/** Particles inside a polygon of places, by how often a ray to the right crosses its border. */
export function insideOutline(
  x: Float32Array,
  y: Float32Array,
  outline: [number, number][],
): Uint8Array {
  const found = new Uint8Array(x.length),
    n = outline.length;
  if (n < 3) return found;
  const px = outline.map((p) => p[0]),
    py = outline.map((p) => p[1]);
  const left = Math.min(...px),
    right = Math.max(...px),
    low = Math.min(...py),
    high = Math.max(...py);
  const band = (value: number) =>
    Math.min(BANDS - 1, Math.floor(((value - low) / (high - low || 1)) * BANDS));
  const edges: number[][] = Array.from({ length: BANDS }, () => []);
  for (let j = 0, k = n - 1; j < n; k = j++)
    for (let b = band(Math.min(py[j], py[k])); b <= band(Math.max(py[j], py[k])); b++)
      edges[b].push(j);
  for (let i = 0; i < x.length; i++) {
    const a = x[i],
      b = y[i];
    if (!(a >= left && a <= right && b >= low && b <= high)) continue;
    let inside = 0;
    const near = edges[band(b)];
    for (let e = 0; e < near.length; e++) {
      const j = near[e],
        k = j ? j - 1 : n - 1;
      if (py[j] > b !== py[k] > b && a < ((px[k] - px[j]) * (b - py[j])) / (py[k] - py[j]) + px[j])
        inside ^= 1;
    }
    found[i] = inside;
  }
  return found;
}
