/** Which particles are chosen, with every earlier choice. */

export type Combine = "replace" | "add" | "remove";

/** How particles were chosen, where that was by one column: by its groups, or between two values. */
export interface Rule {
  column: string;
  groups?: number[];
  low?: number | null;
  high?: number | null;
}
interface State {
  chosen: Uint8Array;
  rule: Rule | null;
}

export function combineOf(event: { shiftKey: boolean; altKey: boolean }): Combine {
  return event.shiftKey ? "add" : event.altKey ? "remove" : "replace";
}

const REMEMBERED = 50;

export class Selection {
  chosen: Uint8Array;
  count = 0;
  rule: Rule | null = null; // of what is chosen now
  onChange: () => void = () => {};
  private before: State[] = [];

  constructor(private particles: number) {
    this.chosen = new Uint8Array(particles);
  }

  apply(found: Uint8Array, how: Combine, rule: Rule | null = null): void {
    const next = how === "replace" ? found : this.chosen.slice();
    if (how === "add") for (let i = 0; i < next.length; i++) next[i] |= found[i];
    if (how === "remove") for (let i = 0; i < next.length; i++) next[i] &= 1 - found[i];
    this.before.push({ chosen: this.chosen, rule: this.rule });
    if (this.before.length > REMEMBERED) this.before.shift();
    this.set(next, combined(this.rule, rule, how));
  }

  invert(): void {
    this.apply(
      this.chosen.map((one) => 1 - one),
      "replace",
    );
  }

  clear(): void {
    this.apply(new Uint8Array(this.particles), "replace");
  }

  /** Of other particles: what was chosen before means nothing. */
  reset(particles: number): void {
    this.particles = particles;
    this.before = [];
    this.set(new Uint8Array(particles), null);
  }

  undo(): boolean {
    const last = this.before.pop();
    if (last) this.set(last.chosen, last.rule);
    return last !== undefined;
  }

  private set(next: Uint8Array, rule: Rule | null): void {
    this.chosen = next;
    this.rule = rule;
    let count = 0;
    for (let i = 0; i < next.length; i++) count += next[i];
    this.count = count;
    this.onChange();
  }
}

/** Groups of one column stay a rule when others of them come or go; all else is rows. */
function combined(old: Rule | null, rule: Rule | null, how: Combine): Rule | null {
  if (how === "replace" || !rule) return how === "replace" ? rule : null;
  if (!old?.groups || !rule.groups || old.column !== rule.column) return null;
  const named = new Set(rule.groups);
  const kept = old.groups.filter((group) => !named.has(group));
  const groups = how === "add" ? [...kept, ...rule.groups].sort((a, b) => a - b) : kept;
  return groups.length ? { column: rule.column, groups } : null;
}

/** Particles of one group. */
export function inGroup(values: Float32Array, group: number): Uint8Array {
  const found = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) found[i] = values[i] === group ? 1 : 0;
  return found;
}

/** Particles between two values, both included; null is no bound. */
export function between(values: Float32Array, low: number | null, high: number | null): Uint8Array {
  // Rounded as the values are: a bound that is the value of a particle takes it.
  const least = low === null ? -Infinity : Math.fround(low);
  const most = high === null ? Infinity : Math.fround(high);
  const found = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++)
    found[i] = values[i] >= least && values[i] <= most ? 1 : 0;
  return found;
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
