/** The page that `cryomix view` serves. */

import { Page } from "./dom";
import { Explorer } from "./explorer";
import { wireHelp } from "./keys";
import { Connection } from "./protocol";
import { watchTraining } from "./scores";
import { wireTheme } from "./theme";
import { mark, trace } from "./trace";

async function start(page: Page): Promise<void> {
  wireHelp(page);
  const connection = new Connection();
  const job = await connection.job();
  document.title = `${job.name} · cryomix`;
  page.element("title").textContent = job.name;
  if (!job.particles) {
    wireTheme(page, () => location.reload());
    await watchTraining(page, connection, job.folder);
    return;
  }
  page.element("facts").textContent = [
    counted(job.particles, "particle"),
    counted(job.latents, "latent"),
    counted(job.gaussians, "Gaussian"),
  ].join(" · ");
  await connection.open();
  const neutral = await connection.modelAt(new Array(job.latents).fill(0));
  const inside = await connection.domains();
  const explorer = new Explorer(page, connection, job, neutral, inside);
  const { map, view, motion } = explorer;
  Object.assign(trace, { map, view, motion, connection });
  await explorer.ready();
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
