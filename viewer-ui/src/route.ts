/** A path as it is played: straight from latent to latent, and what is known of it. */

import { short } from "./dom";

export const FAR = 2; // times the usual reach: above, few particles are near

/** What the server lays a path by; `cryomix trajectory` takes the same. */
export interface Plan {
  kind: "straight" | "geodesic" | "through" | "circle";
  points?: number[][];
  places?: [number, number][];
  columns?: [number, number];
  lift?: number;
  options: Record<string, unknown>;
}

/** Evenly along the path, first and last included. */
export interface Strip {
  along: number[]; // Å up to each
  count: number[]; // particles near
  reach: number[]; // of the nearest 50, over the usual
  place: [number, number][]; // on the map, of the nearest particles
  axes: string;
}

export interface Route {
  latents: ArrayLike<number>[];
  closed: boolean;
  plan: Plan | null; // none of one that the job keeps
  displacement: number | null; // Å along the curve that the latents lie on
  command: string;
  strip: Strip | null;
  stale: boolean; // laid before the job had other results
}

export function legs(route: Route): number {
  return route.closed ? route.latents.length : route.latents.length - 1;
}

/** Between the two latents on either side of `part` of the way. */
export function latentAt({ latents, closed }: Route, part: number): number[] {
  const stops = closed ? [...latents, latents[0]] : latents;
  if (stops.length === 1) return Array.from(stops[0]);
  const place = part * (stops.length - 1);
  const k = Math.min(stops.length - 2, Math.floor(place));
  return Array.from(stops[k], (value, i) => value + (place - k) * (stops[k + 1][i] - value));
}

/** Number, from 0, of the latent that is nearest along the way. */
export function stepAt(route: Route, part: number): number {
  return Math.round(part * legs(route)) % route.latents.length;
}

export function placeOnStrip({ place }: Strip, part: number): [number, number] {
  const at = part * (place.length - 1);
  const k = Math.min(place.length - 2, Math.floor(at));
  const along = (i: number) => place[k][i] + (at - k) * (place[k + 1][i] - place[k][i]);
  return [along(0), along(1)];
}

/** The shortest numbers that are the same float32. */
export function latentWord(latent: ArrayLike<number>): string {
  return Array.from(latent, (value) => {
    const wanted = Math.fround(value);
    for (let digits = 1; digits < 9; digits++) {
      const text = String(Number(wanted.toPrecision(digits)));
      if (Math.fround(Number(text)) === wanted) return text;
    }
    return String(Number(wanted.toPrecision(9)));
  }).join(",");
}

/** The two axes as the command names them, where a circle on the map is one of latents. */
export function planeOf(names: [string, string]): { axes: string; plane: number[] } | null {
  const [x, y] = names.map((name) => /^(pca|latent)(\d+)$/.exec(name));
  if (!x || !y || x[1] !== y[1] || x[2] === y[2]) return null;
  return { axes: x[1] === "pca" ? "principal" : "latent", plane: [Number(x[2]), Number(y[2])] };
}

/** What a path does, in numbers. */
export function describe(route: Route, { along, count, reach }: Strip): string {
  const length = route.displacement ?? along[along.length - 1];
  const far = reach.filter((each) => each > FAR).length / reach.length;
  const near = `near it ${Math.min(...count)} to ${Math.max(...count)} particles (50 is usual)`;
  const empty = far ? `; extrapolated along ${Math.ceil(100 * far)} %` : "";
  return `${route.latents.length} points, ${short(length)} Å r.m.s.; ${near}${empty}`;
}
