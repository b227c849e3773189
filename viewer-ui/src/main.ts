/** The page that `cryomix view` serves. */

import { Connection } from "./connection";
import { Page, make } from "./dom";
import { Explorer } from "./explorer";
import { wireHelp } from "./keys";
import { Job } from "./protocol";
import { watchTraining } from "./scores";
import { mark, trace } from "./trace";
import { TrainingStrip } from "./trainingstrip";

async function start(page: Page): Promise<void> {
  wireHelp(page);
  const connection = new Connection();
  connection.onState = (text, isLost) => {
    const state = page.element("state");
    state.textContent = text;
    if (isLost) make("button", "Try now", state).onclick = () => connection.retry();
  };
  let job = await connection.open();
  document.title = `${job.name} · cryomix`;
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

const page = new Page(document, document.documentElement);
start(page)
  .then(() => mark("ready"))
  .catch((error) => {
    page.element("state").textContent = String(error);
    throw error;
  });
