/** From an empty page to an explorer, or to the scores of a job that is being trained. */

import { Connection } from "./connection";
import { Page, make } from "./dom";
import { Explorer } from "./explorer";
import { wireHelp } from "./keys";
import { Job } from "./protocol";
import { watchTraining } from "./scores";
import { mark, trace } from "./trace";
import { TrainingStrip } from "./trainingstrip";
import { Transport } from "./transport";

/** Of a job that is being trained, once there are particles to explore. */
export async function start(page: Page, transport: Transport): Promise<Explorer> {
  try {
    const explorer = await open(page, new Connection(transport));
    mark("ready");
    return explorer;
  } catch (error) {
    page.element("state").textContent = String(error);
    throw error;
  }
}

async function open(page: Page, connection: Connection): Promise<Explorer> {
  wireHelp(page);
  connection.onState = (text, isLost) => {
    const state = page.element("state");
    state.textContent = text;
    state.classList.toggle("bad", text !== "");
    if (isLost) make("button", "Try now", state).onclick = () => connection.retry();
  };
  let job = await connection.open();
  page.host.entitle(job.name);
  page.element("title").textContent = job.name;
  if (!job.particles) job = await watchTraining(page, connection);
  const neutral = await connection.modelAt(new Array(job.latents).fill(0));
  const explorer = new Explorer(page, connection, connection.job, neutral);
  const strip = new TrainingStrip(page, connection);
  explorer.onRenewed = () => {
    tellFacts(page, explorer.job);
    void strip.renew(explorer.job);
  };
  explorer.onRenewed();
  const { map, view, motion } = explorer;
  Object.assign(trace, { map, view, motion, connection });
  await explorer.ready();
  return explorer;
}

function tellFacts(page: Page, job: Job): void {
  page.element("facts").textContent = [
    counted(job.particles, "particle"),
    counted(job.latents, "latent"),
    counted(job.gaussians, "Gaussian"),
  ].join(" · ");
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
