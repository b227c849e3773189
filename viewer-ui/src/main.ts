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
  const counts = [job.particles, job.latents, job.gaussians].map((n) => n.toLocaleString("en"));
  page.element("facts").textContent =
    `${counts[0]} particles · ${counts[1]} latents · ${counts[2]} Gaussians`;
  await connection.open();
  const neutral = await connection.modelAt(new Array(job.latents).fill(0));
  const explorer = new Explorer(page, connection, job, neutral);
  const { map, view, motion } = explorer;
  Object.assign(trace, { map, view, motion, connection });
  await explorer.ready();
}

const page = new Page(document, document.documentElement);
start(page)
  .then(() => mark("ready"))
  .catch((error) => {
    page.element("state").textContent = String(error);
    throw error;
  });
