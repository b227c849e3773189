/** The server as the page sees it: questions and answers in binary, everything else in JSON. */

export type ColumnKind = "number" | "category" | "angle" | "named";
export interface ColumnInfo {
  name: string;
  title: string;
  kind: ColumnKind;
  groups: string[]; // names of the groups of a category, where they have any
}
export interface Motion {
  name: string;
  direction: number[];
  low: number;
  high: number;
}
export interface Task {
  number: number;
  command: string;
  state: string;
  line: string;
  makes: string | null; // name of the map that there is when it is done
  share: number | null; // of what it counts now
  left: number | null; // seconds
}
/** How far it has come; `written` is when the epoch ended, seconds since 1970. */
export interface Training {
  epoch: number;
  has_ended: boolean;
  written: number;
}

export interface Job {
  server: string; // another one for each start of the server
  page: string; // the version of the page that this server has
  version: number; // of the job: what is below differs only where this does, but for the next four
  problem: string; // why newer results are not shown
  maps: number; // another one when a rebuilt map was written
  tasks: Task[];
  name: string;
  folder: string;
  particles: number;
  latents: number;
  gaussians: number;
  box: number;
  columns: ColumnInfo[];
  linear: string[];
  axes: { direction: number[]; offset: number }[];
  paths: Record<string, number[][]>;
  closed: string[]; // paths that come back to their first point
  motions: Motion[];
  domains: { name: string; inside: string }[]; // bits of the Gaussians
  training: Training | null; // null of a job that is trained
}

/** One Gaussian model; lengths in Å. */
export interface Model {
  center: Float32Array;
  amplitude: Float32Array;
  width: Float32Array;
}
export interface Answer {
  number: number;
  latent: Float32Array;
  reach: number;
  model: Model;
  bytes: number;
}

export const IN_PLANE = 0,
  AMONG_PARTICLES = 1,
  LATENT = 2;

export function readAnswer(buffer: ArrayBuffer): Answer {
  const head = new DataView(buffer);
  const gaussians = head.getUint32(4, true),
    latents = head.getUint32(8, true);
  let at = 16;
  const take = (count: number) => {
    const part = new Float32Array(buffer, at, count);
    at += 4 * count;
    return part;
  };
  const latent = take(latents);
  const model = { center: take(3 * gaussians), amplitude: take(gaussians), width: take(gaussians) };
  return {
    number: head.getUint32(0, true),
    latent,
    reach: head.getFloat32(12, true),
    model,
    bytes: buffer.byteLength,
  };
}

/** A map that was rebuilt from particles; its middle voxel, size >> 1, lies at the origin of the Gaussians. */
export interface DensityMap {
  size: number;
  step: number;
  most: number;
  contour: number;
  value: Float32Array;
}

/** How far the half maps of a map agree; frequencies in 1/Å, resolutions in Å. */
export interface Curve {
  file: string;
  frequency: number[];
  fsc: (number | null)[];
  masked: (number | null)[];
  particles: (number | null)[];
  resolution: { masked: number | null; unmasked: number | null };
}

export function readMap(bytes: ArrayBuffer): DensityMap {
  const head = new DataView(bytes);
  return {
    size: head.getUint32(0, true),
    step: head.getFloat32(4, true),
    most: head.getFloat32(8, true),
    contour: head.getFloat32(12, true),
    value: new Float32Array(bytes, 16),
  };
}

/** One bit for each particle, the first in the lowest. */
export function packBits(chosen: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.ceil(chosen.length / 8));
  for (let i = 0; i < chosen.length; i++) if (chosen[i]) bytes[i >> 3] |= 1 << (i & 7);
  return bytes;
}

export function unpackBits(bytes: Uint8Array, count: number): Uint8Array {
  const chosen = new Uint8Array(count);
  for (let i = 0; i < count; i++) chosen[i] = (bytes[i >> 3] >> (i & 7)) & 1;
  return chosen;
}

export function packRows(chosen: Uint8Array): string {
  const bytes = packBits(chosen);
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768)
    text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}

export function unpackRows(packed: string, count: number): Uint8Array {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return unpackBits(bytes, count);
}
