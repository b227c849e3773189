/** Scores of a training that goes on. */

import { Connection } from "./connection";
import { Page } from "./dom";

const EVERY = 5000; // milliseconds

export async function watchTraining(
  page: Page,
  connection: Connection,
  folder: string,
): Promise<void> {
  page.element("training").hidden = false;
  const canvas = page.element<HTMLCanvasElement>("scores");
  const show = async () => {
    const history = await connection.history();
    const epochs = history.number?.length ?? 0;
    page.element("epoch").textContent = epochs
      ? `${folder}: ${epochs} epochs; held-out score ${history.held_out_score.at(-1)!.toPrecision(4)}. Particles and models are shown when the training has ended.`
      : `${folder}: no epoch has ended yet.`;
    if (epochs) draw(page, canvas, history);
  };
  connection.onJob = (job) => {
    if (job.particles) location.reload();
  };
  await show();
  setInterval(() => show().catch(() => {}), EVERY);
  new ResizeObserver(() => show().catch(() => {})).observe(canvas);
}

function draw(page: Page, canvas: HTMLCanvasElement, history: Record<string, number[]>): void {
  const ratio = devicePixelRatio,
    w = (canvas.width = canvas.clientWidth * ratio),
    h = (canvas.height = canvas.clientHeight * ratio);
  const c = canvas.getContext("2d")!,
    pad = 46 * ratio;
  const lines: [string, string, number[]][] = [
    ["training", page.ink("--soft"), history.training_score],
    ["held out", page.ink("--accent"), history.held_out_score],
  ];
  const all = lines.flatMap((line) => line[2]),
    low = Math.min(...all),
    high = Math.max(...all),
    count = history.number.length;
  const x = (i: number) => pad + (i / Math.max(1, count - 1)) * (w - 2.4 * pad),
    y = (v: number) => h - pad - ((v - low) / (high - low || 1)) * (h - 1.6 * pad);
  c.font = `${13 * ratio}px system-ui`;
  c.fillStyle = page.ink("--soft");
  for (const v of [low, (low + high) / 2, high]) {
    c.fillText(v.toPrecision(4), 2, y(v) + 4 * ratio);
    c.fillRect(pad, y(v), w - 2.4 * pad, 0.5 * ratio);
  }
  c.fillText(`epoch 1 to ${count}`, pad, h - 12 * ratio);
  for (const [name, color, values] of lines) {
    c.strokeStyle = c.fillStyle = color;
    c.lineWidth = 2.2 * ratio;
    c.beginPath();
    values.forEach((v, i) => (i ? c.lineTo(x(i), y(v)) : c.moveTo(x(i), y(v))));
    c.stroke();
    c.fillText(
      name,
      x(count - 1) + 6 * ratio,
      y(values.at(-1)!) + (name === "held out" ? 4 : 18) * ratio,
    );
  }
}
