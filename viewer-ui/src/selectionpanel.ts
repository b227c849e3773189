/** What is done with the chosen particles: more of them, a file, a map. */

import type { Explorer } from "./explorer";
import { countGroups } from "./maplegend";
import { Job, packRows, unpackRows } from "./protocol";

const SCENE =
  "for ChimeraX: models and arrows, from the mean of all particles to the mean of these; then open show.cxc";

export function wireSelection(explorer: Explorer): void {
  const { page, map } = explorer;
  page.button("undo").onclick = () => map.selection.undo();
  page.button("clear").onclick = () => map.selection.clear();
  page.button("invert").onclick = () => map.selection.invert();
  page.button("nearest").onclick = () => void chooseNearest(explorer);
  page.button("keep").onclick = () => void send(explorer, "keep");
  page.button("rebuild").onclick = () => void send(explorer, "rebuild");
}

async function chooseNearest(explorer: Explorer): Promise<void> {
  const { page, connection, map, motion, job } = explorer;
  if (!motion.current) return;
  const latent = Array.from(motion.current.latent);
  const count = page.input("nearest-count").valueAsNumber;
  const found = await connection.act({ do: "nearest", latent, count });
  if (found.error) explorer.say(found.error, true);
  else map.selection.apply(unpackRows(found.rows, job.particles), "replace");
}

export function hasClusters(job: Job): boolean {
  return job.columns.some((column) => column.name === "cluster");
}

/** How many there are, and of which clusters. */
export async function showCount({ page, map, connection, job }: Explorer): Promise<void> {
  const { selection } = map;
  page.element("chosen").textContent = selection.count.toLocaleString("en");
  const note = page.element("of-clusters");
  note.textContent = "";
  if (!selection.count || !hasClusters(job)) return;
  const chosen = selection.chosen;
  const values = await connection.column("cluster");
  if (selection.chosen !== chosen) return; // others were chosen meanwhile
  const most = values.reduce((largest, value) => (value > largest ? value : largest), 1);
  const count = countGroups(values, chosen, most);
  const parts = Array.from(count.entries()).filter(([group, n]) => group && n);
  note.textContent =
    "cluster " + parts.map(([group, n]) => `${group}: ${n.toLocaleString("en")}`).join(" · ");
  note.title = note.textContent;
}

async function send(explorer: Explorer, what: "keep" | "rebuild"): Promise<void> {
  const { page, connection, commands, map, job } = explorer;
  const name = page.input("name").value.trim();
  if (!map.selection.count)
    return explorer.say("choose particles first: lasso, rectangle or nearest", true);
  if (!name) {
    page.input("name").focus();
    return explorer.say("give the selection a name", true);
  }
  explorer.say("writing …");
  const { chosen, rule } = map.selection;
  const rest = what === "keep" && page.input("rest").checked;
  const done = await connection.act({ do: what, name, rows: packRows(chosen), rule, rest });
  if (done.error) return explorer.say(done.error, true);
  explorer.say(
    what === "keep"
      ? `${map.selection.count} particles in ${job.folder}/selections`
      : "started; see the commands",
  );
  commands.add(done.scene, SCENE);
  if (what === "keep") for (const each of done.commands) commands.add(each, "written");
}
