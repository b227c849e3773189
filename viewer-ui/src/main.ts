/** The page that `cryomix view` serves. */

import { Connection } from "./connection";
import { Page, make } from "./dom";
import { Explorer } from "./explorer";
import { wireHelp } from "./keys";
import { Job } from "./protocol";
import { watchTraining } from "./scores";
import { wireTheme } from "./theme";
import { mark, trace } from "./trace";

async function start(page: Page): Promise<void> {
  wireHelp(page);
  const connection = new Connection();
  connection.onState = (text, isLost) => {
    const state = page.element("state");
    state.textContent = text;
    if (isLost) make("button", "Try now", state).onclick = () => connection.retry();
  };
  const job = await connection.open();
  document.title = `${job.name} · cryomix`;
  page.element("title").textContent = job.name;
  if (!job.particles) {
    wireTheme(page, () => location.reload());
    await watchTraining(page, connection, job.folder);
    return;
  }
  const neutral = await connection.modelAt(new Array(job.latents).fill(0));
  const explorer = new Explorer(page, connection, connection.job, neutral);
  explorer.onRenewed = () => tellFacts(page, explorer.job);
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
