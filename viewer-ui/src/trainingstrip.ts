/** Over the explorer of a job that is being trained: how far it has come, and its scores. */

import { Connection } from "./connection";
import { Page } from "./dom";
import { Job, Training } from "./protocol";
import { History, drawScores } from "./scores";

const LATER = "once the job is trained";

export class TrainingStrip {
  private history: History = {};

  constructor(
    private page: Page,
    private connection: Connection,
  ) {
    const draw = () => this.draw();
    new ResizeObserver(draw).observe(this.canvas);
    page.button("theme").addEventListener("click", draw);
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", draw);
    page.onClose(() => system.removeEventListener("change", draw));
  }

  /** Of the job as it is now; a job that is trained has no strip. */
  async renew(job: Job): Promise<void> {
    const { page } = this;
    const { training, version } = job;
    page.element("strip").hidden = !training;
    for (const id of ["keep", "rebuild"]) {
      page.button(id).disabled = training !== null;
      page.button(id).title = training ? LATER : "";
    }
    if (!training) return;
    page.element("strip-told").textContent = tell(training);
    const history = await this.connection.history().catch(() => this.history);
    if (job.version !== version) return; // a newer one is being fetched
    this.history = history;
    this.draw();
  }

  draw(): void {
    if (!this.page.element("strip").hidden) drawScores(this.page, this.canvas, this.history);
  }

  private get canvas(): HTMLCanvasElement {
    return this.page.element<HTMLCanvasElement>("strip-scores");
  }
}

function tell({ epoch, has_ended, written }: Training): string {
  const when = new Date(1000 * written);
  const isToday = when.toDateString() === new Date().toDateString();
  const told = isToday ? when.toLocaleTimeString() : when.toLocaleString();
  const shown = `latents as the encoder gave them in epoch ${epoch}, which ended at ${told}`;
  return has_ended
    ? `trained for ${epoch} epochs; till all latents are refined: ${shown}`
    : `being trained: ${shown}, models by the decoder of now`;
}
