/** How particles are drawn: single dots where there are few, else counted per spot. */

import { CATEGORIES, OTHERS, Rgb, cyclic, density, sequential } from "./colors";
import { Page } from "./dom";
import { ColumnInfo } from "./protocol";
import { Selection } from "./selection";

export interface Shade {
  info: ColumnInfo;
  values: Float32Array;
  low: number;
  high: number;
  names: string[]; // of groups, from 1; of those that are only numbered there is none
}

/** Part of the plane that is seen, in units of the axes. */
export interface Frame {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Drawing {
  page: Page;
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D;
  x: Float32Array;
  y: Float32Array;
  frame: Frame;
  selection: Selection;
  shade: Shade | null;
}

export const SINGLE = 12000; // at most so many dots are drawn one by one

export function countVisible({ x, y, frame }: Drawing): number {
  const right = frame.x + frame.width;
  const high = frame.y + frame.height;
  let seen = 0;
  for (let i = 0; i < x.length; i++)
    if (x[i] >= frame.x && x[i] <= right && y[i] >= frame.y && y[i] <= high) seen++;
  return seen;
}

/** Whether it tells groups apart, and not numbers. */
export function isGrouped(shade: Shade): boolean {
  return shade.info.kind === "category" || shade.info.kind === "named";
}

/** The colour of a particle; none where it has no value. */
function shadeColor(shade: Shade, i: number): Rgb | null {
  const value = shade.values[i];
  if (Number.isNaN(value)) return null;
  if (shade.info.kind === "named" && value > shade.names.length) return OTHERS;
  if (isGrouped(shade)) return CATEGORIES[(value - 1) % CATEGORIES.length];
  const t = (value - shade.low) / (shade.high - shade.low);
  return shade.info.kind === "angle" ? cyclic(t - Math.floor(t)) : sequential(t);
}

export function drawDots(drawing: Drawing, ratio: number, seen: number): void {
  const { page, canvas, context: c, x, y, frame, selection, shade } = drawing;
  const any = selection.count > 0;
  const size = Math.max(1.1, Math.min(3.5, 90 / Math.sqrt(seen + 1)));
  const radius = size * ratio * Math.max(1, canvas.clientWidth / 650);
  const usual = density(page.isDark())(page.isDark() ? 0.62 : 0.55);
  const soft = page.ink("--soft");
  const margin = 3 * radius;
  for (const pass of any ? [0, 1] : [0]) {
    c.globalAlpha = any ? (pass ? 0.95 : 0.16) : Math.max(0.45, Math.min(0.9, 1400 / (seen + 1)));
    for (let i = 0; i < x.length; i++) {
      if (any && selection.chosen[i] !== pass) continue;
      const px = ((x[i] - frame.x) / frame.width) * canvas.width;
      const py = (1 - (y[i] - frame.y) / frame.height) * canvas.height;
      if (!(px > -margin && py > -margin && px < canvas.width + margin)) continue;
      if (py > canvas.height + margin) continue;
      const rgb = shade ? shadeColor(shade, i) : usual;
      c.fillStyle = rgb ? `rgb(${rgb[0] | 0},${rgb[1] | 0},${rgb[2] | 0})` : soft;
      c.beginPath();
      c.arc(px, py, radius, 0, 7);
      c.fill();
    }
  }
  c.globalAlpha = 1;
}

interface Spots {
  width: number;
  height: number;
  count: Float32Array;
  chosen: Float32Array;
  sum: Float32Array; // of the colours
  colored: Float32Array; // particles that have one
}

function countSpots({ x, y, frame, selection, shade }: Drawing, w: number, h: number): Spots {
  const [count, chosen, colored] = [0, 0, 0].map(() => new Float32Array(w * h));
  const sum = new Float32Array(shade ? 3 * w * h : 0);
  const sx = w / frame.width;
  const sy = h / frame.height;
  for (let i = 0; i < x.length; i++) {
    const column = Math.floor((x[i] - frame.x) * sx);
    const row = h - 1 - Math.floor((y[i] - frame.y) * sy);
    if (!(column >= 0 && column < w && row >= 0 && row < h)) continue;
    const at = row * w + column;
    count[at]++;
    chosen[at] += selection.chosen[i];
    const rgb = shade && shadeColor(shade, i);
    if (!rgb) continue;
    colored[at]++;
    sum[3 * at] += rgb[0];
    sum[3 * at + 1] += rgb[1];
    sum[3 * at + 2] += rgb[2];
  }
  return { width: w, height: h, count, chosen, sum, colored };
}

/** Draw the count per spot of about 1.5 points; colours of a spot are averaged. The largest count. */
export function drawSpots(drawing: Drawing, ratio: number, seen: number): number {
  const { canvas, context } = drawing;
  const spot = (seen < 60000 ? 2 : 1.5) * Math.max(1, canvas.clientWidth / 900);
  const w = Math.ceil(canvas.clientWidth / spot);
  const h = Math.ceil(canvas.clientHeight / spot);
  const spots = countSpots(drawing, w, h);
  const most = spots.count.reduce((largest, n) => Math.max(largest, n), 1);
  const small = new OffscreenCanvas(w, h);
  small.getContext("2d")!.putImageData(imageOf(spots, most, drawing), 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, w * spot * ratio, h * spot * ratio);
  return most;
}

function imageOf(spots: Spots, most: number, { page, shade, selection }: Drawing): ImageData {
  const { count, chosen, sum, colored } = spots;
  const image = new ImageData(spots.width, spots.height);
  const of = density(page.isDark());
  const top = Math.log1p(most);
  const any = selection.count > 0;
  const soft = page.isDark() ? 110 : 150;
  const gray: Rgb = [soft, soft, soft];
  const pick = page.ink("--pick").split(/[ ,]+/).map(Number);
  for (let i = 0; i < count.length; i++) {
    if (!count[i]) continue;
    const t = Math.log1p(count[i]) / top;
    let rgb: ArrayLike<number> = of(t);
    let alpha = 255;
    if (shade) {
      const n = colored[i];
      rgb = n ? [sum[3 * i] / n, sum[3 * i + 1] / n, sum[3 * i + 2] / n] : gray;
      alpha = 90 + 165 * t;
    }
    if (any && !chosen[i]) {
      rgb = gray;
      alpha = 35 + 90 * t;
    } else if (any && !shade) {
      rgb = pick;
      alpha = 110 + 145 * t;
    }
    image.data.set([rgb[0], rgb[1], rgb[2], alpha], 4 * i);
  }
  return image;
}
