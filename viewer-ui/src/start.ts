/** From an empty page to an explorer, or to the scores of a job that is being trained. */

import { Connection } from "./connection";
import { Page, make } from "./dom";
import { Explorer } from "./explorer";
import { wireHelp } from "./keys";
import { Job } from "./protocol";
import { watchTraining } from "./scores";
import { wireTheme } from "./theme";
import { mark, trace } from "./trace";
import { Transport } from "./transport";

/** Nothing comes back of a job that is being trained. */
export async function start(page: Page, transport: Transport): Promise<Explorer | null> {
  try {
    const explorer = await open(page, new Connection(transport));
    mark("ready");
    return explorer;
  } catch (error) {
    page.element("state").textContent = String(error);
    throw error;
  }
}

async function open(page: Page, connection: Connection): Promise<Explorer | null> {
  wireHelp(page);
  connection.onState = (text, isLost) => {
    const state = page.element("state");
    state.textContent = text;
    state.classList.toggle("bad", text !== "");
    if (isLost) make("button", "Try now", state).onclick = () => connection.retry();
  };
  const job = await connection.open();
  page.host.entitle(job.name);
  page.element("title").textContent = job.name;
  if (!job.particles) {
    wireTheme(page, () => page.host.reload());
    await watchTraining(page, connection, job.folder);
    return null;
  }
  const neutral = await connection.modelAt(new Array(job.latents).fill(0));
  const explorer = new Explorer(page, connection, connection.job, neutral);
  explorer.onRenewed = () => tellFacts(page, explorer.job);
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
