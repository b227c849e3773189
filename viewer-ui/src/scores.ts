/** Scores of a training that goes on. */

import { Connection } from "./connection";
import { Page } from "./dom";
import { Job } from "./protocol";
import { wireTheme } from "./theme";
import { mark } from "./trace";

export type History = Record<string, number[]>;
const EVERY = 5000; // milliseconds

/** Show the scores until there are particles to be shown; the job as it is then. */
export async function watchTraining(page: Page, connection: Connection): Promise<Job> {
  const canvas = page.element<HTMLCanvasElement>("scores");
  page.element("training").hidden = false;
  const show = async () => {
    const history = await connection.history();
    const epochs = history.number?.length ?? 0;
    page.element("epoch").textContent = epochs
      ? `${connection.job.folder}: ${epochs} epochs; held-out score ${history.held_out_score.at(-1)!.toPrecision(4)}. Particles and models are shown when the training has ended: its states hold no latents.`
      : `${connection.job.folder}: no epoch has ended yet. The first brings the map of the particles, and their models.`;
    drawScores(page, canvas, history);
  };
  const ready = new Promise<Job>((resolve) => {
    connection.onJob = (job) => job.particles && resolve(job);
  });
  const again = () => show().catch(() => {});
  wireTheme(page, again);
  await again();
  mark("ready");
  const timer = setInterval(again, EVERY);
  page.onClose(() => clearInterval(timer));
  const resized = new ResizeObserver(again);
  resized.observe(canvas);
  const job = await ready;
  clearInterval(timer);
  resized.disconnect();
  page.element("training").hidden = true;
  return job;
}

/** Both scores over the epochs; a canvas of a few lines' height has no room for axes. */
export function drawScores(page: Page, canvas: HTMLCanvasElement, history: History): void {
  const count = history.number?.length ?? 0;
  if (!count || !canvas.clientWidth) return;
  const lines: [string, string, number[]][] = [
    ["training", page.ink("--soft"), history.training_score],
    ["held out", page.ink("--accent"), history.held_out_score],
  ];
  const told = lines.map(([name, , values]) => `${name} ${values.at(-1)!.toPrecision(4)}`);
  canvas.setAttribute("aria-label", `scores after ${count} epochs: ${told.join(", ")}`);
  const chart = new Chart(
    page,
    canvas,
    lines.flatMap((line) => line[2]),
    count,
  );
  chart.axes(page.ink("--soft"));
  const ends = lines.map(([, , values]) => chart.y(values.at(-1)!));
  lines.forEach(([, color, values], i) => {
    chart.line(color, values);
    // The names of both must be readable where the lines end alike.
    const other = ends[1 - i];
    const away = Math.max(0, 1.15 * chart.letter - Math.abs(ends[i] - other)) / 2;
    const above = ends[i] < other || (ends[i] === other && i === 0);
    chart.name(told[i], color, values, above ? -away : away);
  });
}

class Chart {
  private context: CanvasRenderingContext2D;
  private left: number;
  private top: number;
  private width: number;
  private height: number;
  private low: number;
  private high: number;
  private small: boolean;
  readonly letter: number;

  constructor(
    page: Page,
    canvas: HTMLCanvasElement,
    values: number[],
    private count: number,
  ) {
    const ratio = devicePixelRatio;
    const size = parseFloat(getComputedStyle(page.frame).fontSize) * ratio;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    this.small = canvas.height < 8 * size;
    this.letter = this.small ? 0.85 * size : size;
    this.left = this.small ? 0.3 * size : 3.5 * size;
    this.top = (this.small ? 1 : 1.2) * size;
    this.width = canvas.width - this.left - 8 * this.letter;
    this.height = canvas.height - this.top - (this.small ? 0.6 : 2.4) * size;
    this.low = Math.min(...values);
    this.high = Math.max(...values);
    this.context = canvas.getContext("2d")!;
    this.context.font = `${this.letter}px system-ui`;
    this.context.lineWidth = (this.small ? 1.6 : 2.2) * ratio;
  }

  x(i: number): number {
    return this.left + (i / Math.max(1, this.count - 1)) * this.width;
  }

  y(value: number): number {
    const part = (value - this.low) / (this.high - this.low || 1);
    return this.top + (1 - part) * this.height;
  }

  axes(color: string): void {
    if (this.small) return;
    const { context: c, low, high, left, letter } = this;
    c.fillStyle = color;
    for (const value of [low, (low + high) / 2, high]) {
      c.fillText(value.toPrecision(4), 2, this.y(value) + 0.3 * letter);
      c.fillRect(left, this.y(value), this.width, 0.5);
    }
    c.fillText(`epoch 1 to ${this.count}`, left, this.y(low) + 1.8 * letter);
  }

  line(color: string, values: number[]): void {
    const { context: c } = this;
    c.strokeStyle = c.fillStyle = color;
    c.beginPath();
    values.forEach((value, i) => c.lineTo(this.x(i), this.y(value)));
    c.stroke();
    c.beginPath();
    c.arc(this.x(values.length - 1), this.y(values.at(-1)!), 1.3 * c.lineWidth, 0, 7);
    c.fill();
  }

  name(text: string, color: string, values: number[], lower: number): void {
    const { context: c, letter } = this;
    c.fillStyle = color;
    const x = this.x(values.length - 1) + 0.5 * letter;
    c.fillText(text, x, this.y(values.at(-1)!) + lower + 0.35 * letter);
  }
}
