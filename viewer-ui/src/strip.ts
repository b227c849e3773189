/** Thin bars under a slider: where particles are many, few or none. */

import { Page } from "./dom";

const THUMB = 8; // points of the screen by which the ends of a slider's way lie inside it

/** `count` evenly along the slider's way; bars are its roots, those that are `far` in a warning colour. */
export function drawStrip(
  page: Page,
  canvas: HTMLCanvasElement,
  count: ArrayLike<number>,
  far: (i: number) => boolean = () => false,
): void {
  const ratio = devicePixelRatio;
  const [w, h] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
  canvas.width = w;
  canvas.height = h;
  const c = canvas.getContext("2d")!;
  const n = count.length;
  const most = Math.sqrt(Math.max(1, ...Array.from(count)));
  const wide = (w - 2 * THUMB * ratio) / n;
  for (let i = 0; i < n; i++) {
    const left = THUMB * ratio + i * wide;
    const high = (h * Math.sqrt(count[i])) / most;
    c.fillStyle = page.ink(far(i) ? "--bad" : "--accent");
    if (far(i)) c.fillRect(left, h - 2 * ratio, wide + 0.5, 2 * ratio);
    c.fillRect(left, h - high, Math.max(ratio, wide - 0.5), high);
  }
}

export function histogram(values: Float32Array, low: number, high: number, bins: number): number[] {
  const found = new Array<number>(bins).fill(0);
  for (const value of values) {
    const bin = Math.floor(((value - low) / (high - low)) * bins);
    if (bin >= 0 && bin < bins) found[bin]++;
  }
  return found;
}
