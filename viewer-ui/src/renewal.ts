/** A job that has changed, where it is looked at: axes, colours, chosen particles and pins stay. */

import type { Explorer } from "./explorer";
import { Answer, Job } from "./protocol";

const TRAINED = "the job is trained: these are the latents of all particles, refined";

/** Also called when the server was found again and nothing has changed. */
export async function renew(explorer: Explorer, told: Job): Promise<void> {
  const { job, map, commands, controls, overlay } = explorer;
  if (!told.particles) return explorer.page.host.reload(); // it is trained anew
  const before = { ...job };
  Object.assign(job, told);
  commands.renew(job);
  if (before.maps !== job.maps || before.server !== job.server) void overlay.refresh();
  if (before.version !== job.version) {
    explorer.onRenewed();
    if (before.training && !job.training) explorer.say(TRAINED);
    if (before.particles !== job.particles) {
      map.selection.reset(job.particles);
      explorer.say("the job has other particles now: none are chosen", true);
    }
    controls.fillChoices();
    if (!(await renewModels(explorer, job.version))) return;
  }
  await controls.catchUp();
}

/** What is shown, decoded anew; false if the job has changed again meanwhile. */
async function renewModels(explorer: Explorer, version: number): Promise<boolean> {
  const { job, connection, motion } = explorer;
  const current = motion.current;
  const { a, b } = motion.pins;
  const modelAt = (latent?: ArrayLike<number>): Promise<Answer> | null =>
    latent?.length === job.latents ? connection.modelAt(latent) : null;
  const [neutral, shown, atA, atB] = await Promise.all([
    connection.modelAt(new Array<number>(job.latents).fill(0)),
    modelAt(current?.latent),
    modelAt(a?.answer.latent),
    modelAt(b?.answer.latent),
  ]);
  if (job.version !== version) return false;
  explorer.renewModel(neutral);
  if (motion.current === current) explorer.take(shown ?? neutral);
  motion.renew(atA, atB);
  return true;
}
