/** The molecule as a picture for print: transparent, with a scale bar and what its colours mean. */

import type { Explorer } from "./explorer";
import { modelMeaning } from "./legend";

const WIDTH = 2400; // pixels, of which a column of a page needs about half
const LARGEST = 8192; // pixels along an edge, that every graphics card draws

/** Save what is shown now as NAME-model.png. */
export async function savePicture(explorer: Explorer): Promise<void> {
  const { page, job } = explorer;
  const canvas = drawPicture(explorer, page.input("with-legend").checked);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (!blob) return explorer.say("the picture is too large for this browser", true);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${job.name}-model.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function drawPicture(explorer: Explorer, isExplained: boolean): HTMLCanvasElement {
  const { view } = explorer;
  const { clientWidth: w, clientHeight: h } = explorer.page.element("model");
  const ratio = Math.min(Math.max(WIDTH / w, devicePixelRatio), LARGEST / Math.max(w, h));
  const drawn = view.enlarged(ratio);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [drawn.width, drawn.height];
  const pen = canvas.getContext("2d")!;
  pen.drawImage(drawn, 0, 0);
  if (isExplained) {
    drawScaleBar(explorer, pen);
    drawMeaning(explorer, pen);
  }
  return canvas;
}

/** Å in a round number, about a fifth of `most` long. */
export function roundLength(most: number): number {
  const size = 10 ** Math.floor(Math.log10(most / 5));
  return [5, 2, 1].map((digit) => digit * size).find((length) => length <= most / 5) ?? size;
}

/** At the depth of the molecule's middle: what is nearer is larger, by a little. */
function drawScaleBar({ page, view }: Explorer, pen: CanvasRenderingContext2D): void {
  const { width, height } = pen.canvas,
    unit = width / 100;
  const perAngstrom = view.orbit.pixelsPerAngstrom(height);
  const length = roundLength(width / perAngstrom),
    long = length * perAngstrom;
  pen.fillStyle = page.ink("--ink");
  pen.fillRect(width - 3 * unit - long, height - 3.6 * unit, long, 0.5 * unit);
  pen.font = `${2 * unit}px sans-serif`;
  pen.textAlign = "center";
  pen.fillText(`${length} Å`, width - 3 * unit - long / 2, height - 4.4 * unit);
}

function drawMeaning(explorer: Explorer, pen: CanvasRenderingContext2D): void {
  const { page, view, referenceName } = explorer;
  const unit = pen.canvas.width / 100,
    left = 3 * unit;
  let bottom = pen.canvas.height - 3 * unit;
  pen.font = `${1.7 * unit}px sans-serif`;
  for (const each of modelMeaning(view, referenceName).reverse()) {
    pen.fillStyle = page.ink("--ink");
    if ("swatches" in each) {
      let x = left;
      for (const { name, color } of each.swatches) {
        pen.fillStyle = color;
        pen.fillRect(x, bottom - 1.3 * unit, 1.4 * unit, 1.4 * unit);
        pen.fillStyle = page.ink("--ink");
        pen.textAlign = "left";
        pen.fillText(name, x + 2 * unit, bottom);
        x += 4 * unit + pen.measureText(name).width;
      }
      bottom -= 3.4 * unit;
      continue;
    }
    const long = 22 * unit;
    pen.textAlign = "left";
    pen.fillText(each.low, left, bottom);
    pen.textAlign = "right";
    pen.fillText(each.high, left + long, bottom);
    pen.textAlign = "left";
    pen.fillText(each.title, left, bottom - 4.4 * unit);
    for (let k = 0; k < 200; k++) {
      pen.fillStyle = `rgb(${each
        .of(k / 199)
        .map(Math.round)
        .join(",")})`;
      pen.fillRect(left + (k * long) / 200, bottom - 3.6 * unit, long / 200 + 1, 1.5 * unit);
    }
    bottom -= 7.4 * unit;
  }
}
