/** The rigid motion between the same Gaussians of two models, by least squares of their centres. */

import { Model } from "./protocol";

export type Vector = [number, number, number];

/** How a part turns and shifts; lengths in Å, angles in degrees, errors by a jackknife. */
export interface Turn {
  angle: number; // 0 to 180
  angleError: number;
  axis: Vector; // unit vector; the rotation about it is right-handed
  axisError: number;
  hinge: Vector; // the point of the axis nearest to where the part touches the rest
  shift: number; // along the axis
  shiftError: number;
  travel: number; // of the part's centre of mass
  explained?: number; // of the density, where density was compared
}

const BLOCKS = 5; // a fifth of the part at a time is left out for the errors
const FEWEST = 3; // Gaussians that say how a part is turned
const SUMS = 16; // weight, w a, w b, w a bᵀ
const TOUCHING = 3; // widths: so near to the rest a Gaussian is at the border
const DEGREES = 180 / Math.PI;

/** Rotation and the centres of mass between which it goes. */
interface Superposition {
  rotation: number[]; // 3 × 3, row by row
  vector: Vector; // axis times radians
  from: Vector;
  to: Vector;
}

/** Some Gaussians of a model, and what of them does not change with the model shown. */
export class Part {
  readonly rows: Int32Array;
  private block: Uint8Array;
  private border: { of: Model; place: Vector } | null = null;

  /** `neutral` says which Gaussians lie together. */
  constructor(
    readonly inside: Uint8Array,
    neutral: Model,
  ) {
    this.rows = Int32Array.from(inside.keys()).filter((i) => inside[i]);
    this.block = blocksByPlace(this.rows, neutral);
  }

  /** The motion from `a` to `b`; null for too few Gaussians. */
  turn(a: Model, b: Model): Turn | null {
    if (this.rows.length < FEWEST) return null;
    const sums = this.sums(a, b),
      whole = addUp(sums);
    const found = superpose(whole),
      middle = found.from;
    const shift = moved(found, middle),
      axis = axisOf(found.vector, shift);
    const angle = length(found.vector);
    const others = sums
      .filter((sum) => sum[0] > 0 && sum[0] < whole[0])
      .map((sum) => superpose(whole.map((value, k) => value - sum[k])));
    const axes = others.map((one) => axisOf(one.vector, moved(one, middle)));
    return {
      angle: DEGREES * angle,
      angleError: DEGREES * jackknife(others.map((one) => length(one.vector))),
      axis,
      axisError: DEGREES * jackknife(axes.map((one) => between(one, axis))),
      hinge: hingeOf(middle, shift, axis, angle, this.borderOf(a)),
      shift: dot(shift, axis),
      shiftError: jackknife(others.map((one, k) => dot(moved(one, middle), axes[k]))),
      travel: length(shift),
    };
  }

  /** Root mean square displacement from `a` to `b`, Å. */
  rootMeanSquare(a: Model, b: Model): number {
    let sum = 0,
      total = 0;
    for (const i of this.rows) {
      const w = weight(a, b, i);
      for (let k = 3 * i; k < 3 * i + 3; k++) sum += w * (b.center[k] - a.center[k]) ** 2;
      total += w;
    }
    return Math.sqrt(sum / (total || 1));
  }

  /** `model` as it is seen when this part of it lies on that of `reference`. */
  hold(model: Model, reference: Model): Model {
    if (this.rows.length < FEWEST) return model;
    const { rotation: r, from, to } = superpose(addUp(this.sums(reference, model)));
    const center = new Float32Array(model.center.length);
    for (let i = 0; i < center.length; i += 3) {
      const x = model.center[i] - to[0],
        y = model.center[i + 1] - to[1],
        z = model.center[i + 2] - to[2];
      for (let k = 0; k < 3; k++) center[i + k] = r[k] * x + r[3 + k] * y + r[6 + k] * z + from[k];
    }
    return { ...model, center };
  }

  private sums(a: Model, b: Model): number[][] {
    const sums = Array.from({ length: BLOCKS }, () => new Array<number>(SUMS).fill(0));
    this.rows.forEach((i, k) => {
      const sum = sums[this.block[k]],
        w = weight(a, b, i);
      sum[0] += w;
      for (let c = 0; c < 3; c++) {
        const ac = a.center[3 * i + c];
        sum[1 + c] += w * ac;
        sum[4 + c] += w * b.center[3 * i + c];
        for (let d = 0; d < 3; d++) sum[7 + 3 * c + d] += w * ac * b.center[3 * i + d];
      }
    });
    return sums;
  }

  private borderOf(model: Model): Vector {
    if (this.border?.of !== model) this.border = { of: model, place: border(model, this.inside) };
    return this.border.place;
  }
}

/** Mass of a Gaussian, mean of both models. */
function weight(a: Model, b: Model, i: number): number {
  return (a.amplitude[i] * a.width[i] ** 3 + b.amplitude[i] * b.width[i] ** 3) / 2;
}

function addUp(sums: number[][]): number[] {
  return sums.reduce((total, sum) => total.map((value, k) => value + sum[k]));
}

/** Horn's quaternion: the largest eigenvector of a matrix made of the covariance. */
function superpose(sum: number[]): Superposition {
  const total = sum[0] || 1;
  const from = [1, 2, 3].map((k) => sum[k] / total) as Vector,
    to = [4, 5, 6].map((k) => sum[k] / total) as Vector;
  const s = (c: number, d: number) => sum[7 + 3 * c + d] - total * from[c] * to[d];
  const xx = s(0, 0),
    yy = s(1, 1),
    zz = s(2, 2);
  const [x, y, z] = [s(1, 2) - s(2, 1), s(2, 0) - s(0, 2), s(0, 1) - s(1, 0)];
  const [xy, yz, zx] = [s(0, 1) + s(1, 0), s(1, 2) + s(2, 1), s(2, 0) + s(0, 2)];
  const q = largestEigenvector([
    [xx + yy + zz, x, y, z],
    [x, xx - yy - zz, xy, zx],
    [y, xy, yy - xx - zz, yz],
    [z, zx, yz, zz - xx - yy],
  ]);
  const sign = q[0] < 0 ? -1 : 1;
  const w = sign * q[0],
    v = q.slice(1).map((value) => sign * value) as Vector;
  const sine = length(v);
  const scale = sine > 1e-12 ? (2 * Math.atan2(sine, w)) / sine : 2;
  const [a, b, c] = v;
  const rotation = [
    1 - 2 * (b * b + c * c),
    2 * (a * b - w * c),
    2 * (a * c + w * b),
    2 * (a * b + w * c),
    1 - 2 * (a * a + c * c),
    2 * (b * c - w * a),
    2 * (a * c - w * b),
    2 * (b * c + w * a),
    1 - 2 * (a * a + b * b),
  ];
  return { rotation, vector: v.map((value) => scale * value) as Vector, from, to };
}

/** Of a symmetric matrix, by Jacobi's rotations. */
function largestEigenvector(matrix: number[][]): number[] {
  const a = matrix.map((row) => row.slice()),
    n = a.length;
  const vectors = a.map((_, i) => a.map((_, j) => Number(i === j)));
  for (let sweep = 0; sweep < 30; sweep++) {
    let off = 0,
      size = 0;
    for (let p = 0; p < n; p++)
      for (let q = 0; q < n; q++)
        if (p === q) size += a[p][p] ** 2;
        else off += a[p][q] ** 2;
    if (off <= 1e-28 * size) break;
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        if (!a[p][q]) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const cos = 1 / Math.hypot(t, 1),
          sin = t * cos;
        const turn = (x: number[], y: number[], i: number, j: number) => {
          const [u, v] = [x[i], y[j]];
          x[i] = cos * u - sin * v;
          y[j] = sin * u + cos * v;
        };
        for (let k = 0; k < n; k++) turn(a[k], a[k], p, q);
        for (let k = 0; k < n; k++) turn(a[p], a[q], k, k);
        for (let k = 0; k < n; k++) turn(vectors[k], vectors[k], p, q);
      }
  }
  let best = 0;
  for (let k = 1; k < n; k++) if (a[k][k] > a[best][best]) best = k;
  return vectors.map((row) => row[best]);
}

/** The way of a point. */
function moved({ rotation: r, from, to }: Superposition, point: Vector): Vector {
  const [x, y, z] = point.map((value, k) => value - from[k]);
  return [0, 1, 2].map(
    (k) => r[3 * k] * x + r[3 * k + 1] * y + r[3 * k + 2] * z + to[k] - point[k],
  ) as Vector;
}

/** Of the rotation; of the shift where nothing turns. */
function axisOf(vector: Vector, shift: Vector): Vector {
  for (const part of [vector, shift]) {
    const size = length(part);
    if (size > 1e-6) return part.map((value) => value / size) as Vector;
  }
  return [0, 0, 1];
}

/** The point of the screw axis nearest to `near`. */
function hingeOf(middle: Vector, shift: Vector, axis: Vector, angle: number, near: Vector): Vector {
  const along = dot(shift, axis);
  const across = shift.map((value, k) => value - along * axis[k]) as Vector;
  // A point p of the axis stays on it: (1 − R)(p − middle) = shift across the axis.
  const cotangent = angle > 1e-6 ? 1 / Math.tan(angle / 2) : 0;
  const side = cross(axis, across);
  const foot = middle.map((value, k) => value + (across[k] + cotangent * side[k]) / 2) as Vector;
  const on = dot(near.map((value, k) => value - foot[k]) as Vector, axis);
  return foot.map((value, k) => value + on * axis[k]) as Vector;
}

/** Middle of the Gaussians inside that touch the rest; of the nearest, if none do. */
function border(model: Model, inside: Uint8Array): Vector {
  const all = Array.from(inside.keys());
  const part = all.filter((i) => inside[i]),
    rest = all.filter((i) => !inside[i]);
  const away = part.map((i) => {
    let least = Infinity;
    for (const j of rest) least = Math.min(least, square(model, i, j));
    return rest.length ? Math.sqrt(least) : 0;
  });
  const mean = model.width.reduce((sum, width) => sum + width, 0) / model.width.length;
  const limit = Math.max(
    TOUCHING * mean,
    away.reduce((a, b) => Math.min(a, b), Infinity),
  );
  const near = part.filter((_, k) => away[k] <= limit);
  return [0, 1, 2].map(
    (c) => near.reduce((sum, i) => sum + model.center[3 * i + c], 0) / near.length,
  ) as Vector;
}

/** Five groups of Gaussians, each around one that is far from those of the others. */
function blocksByPlace(rows: Int32Array, model: Model): Uint8Array {
  const block = new Uint8Array(rows.length),
    away = new Float64Array(rows.length).fill(Infinity);
  let seed = rows[0];
  for (let b = 0; b < Math.min(BLOCKS, rows.length); b++) {
    let farthest = -1;
    rows.forEach((i, k) => {
      const d = square(model, i, seed);
      if (d < away[k]) [away[k], block[k]] = [d, b];
      if (farthest < 0 || away[k] > away[farthest]) farthest = k;
    });
    seed = rows[farthest];
  }
  return block;
}

function jackknife(values: number[]): number {
  const n = values.length,
    mean = values.reduce((a, b) => a + b, 0) / n;
  return Math.sqrt(((n - 1) / n) * values.reduce((sum, value) => sum + (value - mean) ** 2, 0));
}

function square(model: Model, i: number, j: number): number {
  let sum = 0;
  for (let c = 0; c < 3; c++) sum += (model.center[3 * i + c] - model.center[3 * j + c]) ** 2;
  return sum;
}

const dot = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const length = (a: Vector) => Math.hypot(...a);
const between = (a: Vector, b: Vector) => Math.atan2(length(cross(a, b)), dot(a, b));

function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}
