/** The explorer: the map of the particles beside the molecule. */

import { CommandList } from "./commandlist";
import { button, element, input, make, options, select, short } from "./dom";
import { LatentMap, Tool, range } from "./latentmap";
import { mapLegend, modelLegend } from "./legend";
import { Beside, Look, ModelView, Tint } from "./modelview";
import { MotionPanel } from "./motion";
import { Overlay } from "./overlay";
import { Answer, ColumnInfo, Connection, ENDED, IN_PLANE, Job, fetchColumn, fetchJson, packRows, unpackRows } from "./protocol";
import { watchTraining } from "./scores";

const KEYS: [string, string][] = [
  ["arrows", "on the map: move the place; on the molecule: turn it; with Shift: further"], ["+  −  0", "zoom, and back"],
  ["D  L  R  P", "drag, lasso, rectangle, pan"], ["Shift, Alt", "with a lasso or rectangle: add, take away"], ["A  B", "pin this place as A or B"],
  ["space", "play the path"], ["N", "choose the nearest particles"], ["Ctrl Z", "undo a selection"], ["Esc", "choose none"],
];
const FAR = 2; // times the usual reach: above, few particles are near

interface Trace { marks: Record<string, number>; latencies: number[]; answers: number[]; [name: string]: unknown }
const trace: Trace = { marks: {}, latencies: [], answers: [] };
(window as unknown as { cryomix: Trace }).cryomix = trace;
const mark = (name: string) => { trace.marks[name] ??= performance.now(); };

const columns = new Map<string, Promise<Float32Array>>();
function column(name: string): Promise<Float32Array> {
  let found = columns.get(name);
  if (!found) columns.set(name, (found = fetchColumn(name)));
  return found;
}

function say(text: string, bad = false): void {
  element("said").textContent = text;
  element("said").classList.toggle("bad", bad);
}

function themes(redraw: () => void): void {
  const root = document.documentElement, kept = localStorage.getItem("cryomix-theme");
  if (kept) root.dataset.theme = kept;
  button("theme").onclick = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("cryomix-theme", root.dataset.theme);
    redraw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

function helpDialog(): void {
  for (const [key, text] of KEYS) { const row = make("tr", "", element("keys")); make("td", key, row); make("td", text, row); }
  const dialog = element<HTMLDialogElement>("help");
  button("help-button").onclick = () => dialog.showModal();
}

async function explore(job: Job): Promise<void> {
  element("explorer").hidden = element("panels").hidden = false;
  const connection = new Connection();
  await connection.opened();
  const neutral = await connection.modelAt(new Array(job.latents).fill(0));
  const map = new LatentMap(element("map"), element("over"), job.particles);
  const view = new ModelView(element("model"), neutral.model);
  const commands = new CommandList(connection);
  const number = new Map(job.columns.map((info, i) => [info.name, i]));
  const axes = (): [string, string] => [select("x-axis").value, select("y-axis").value];
  const isLinear = () => { const [x, y] = axes(); return x !== y && job.linear.includes(x) && job.linear.includes(y); };

  /** Where a latent lies on this map; unknown where an axis is no function of the latent. */
  const project = (latent: ArrayLike<number>): [number, number] | null => {
    const place = axes().map((name) => {
      const k = job.linear.indexOf(name);
      return k < 0 ? NaN : job.axes[k].offset + job.axes[k].direction.reduce((sum, d, i) => sum + d * latent[i], 0);
    });
    return place.every(Number.isFinite) ? (place as [number, number]) : null;
  };
  const motion = new MotionPanel(job, map, view, connection, commands, project);
  const referenceName = () => (view.reference ? "A" : "neutral");

  const take = (answer: Answer) => {
    motion.current = answer;
    view.show(answer.model);
    button("pin-a").disabled = button("pin-b").disabled = false;
    const far = Number.isFinite(answer.reach) && answer.reach > FAR;
    const note = element("reach");
    note.textContent = Number.isFinite(answer.reach) ? `nearest particles reach ${short(answer.reach)} × as far as usual` : "";
    if (far) make("div", "few particles here: extrapolated", note).className = "far";
  };
  connection.onAnswer = (answer, milliseconds) => {
    take(answer);
    trace.latencies.push(milliseconds);
    trace.answers.push(answer.number);
    trace.latest = answer;
    mark("answered");
  };
  connection.onClose = () => { element("state").textContent = ENDED; motion.stop(); };
  connection.onChange = () => { element("state").textContent = "the job has new results: load this page again to see them"; };
  map.onCursor = (x, y) => {
    motion.stop();
    element("place").textContent = `${short(x)}, ${short(y)}`;
    const [a, b] = axes();
    connection.ask(Number(select("lift").value), [number.get(a)!, number.get(b)!], [x, y]);
  };
  map.onDraw = () => { mapLegend(element("legend"), map); mark("map"); };
  view.onColors = () => modelLegend(element("model-legend"), view, referenceName());
  view.onDraw = () => mark("model");
  map.selection.onChange = () => { element("chosen").textContent = map.selection.count.toLocaleString("en"); map.draw(); };

  const showAxes = async () => {
    const [x, y] = await Promise.all(axes().map(column));
    const lift = select("lift");
    lift.options[0].disabled = !isLinear();
    if (!isLinear()) lift.value = "1";
    else if (job.latents === 2) lift.value = String(IN_PLANE);
    map.show(x, y);
    motion.refresh();
    trace.axes = axes().join();
  };
  const showShade = async () => {
    const name = select("shade").value;
    try {
      const info = job.columns.find((each) => each.name === name), values = info && (await column(name));
      map.shade = info && values ? shadeOf(info, values) : null;
    } catch (error) { say(String(error), true); }
    map.draw();
    trace.shade = name;
  };
  fillChoices(job);
  wireMap(map, showAxes, showShade);
  wireModel(view, motion, referenceName);
  wireSelection(map, motion, connection, commands, job);
  wireKeys(map, motion);
  const overlay = new Overlay(view, (text) => say(text, true));
  themes(() => { map.draw(); view.refresh(); overlay.draw(); });
  job.tasks.forEach((task) => commands.task(task));
  commands.onDone = () => void overlay.refresh();
  take(neutral);
  Object.assign(trace, { map, view, motion, connection });
  await Promise.all([showAxes(), overlay.refresh()]);
  mark("ready");
}

function shadeOf(info: ColumnInfo, values: Float32Array) {
  if (info.kind === "angle") return { info, values, low: values.some((value) => value > 180.5) ? 0 : -180, high: values.some((value) => value > 180.5) ? 360 : 180 };
  if (info.kind === "category") return { info, values, low: 1, high: values.reduce((most, value) => Math.max(most, value), 1) };
  const [low, high] = range(values, 0, 0.01);
  return { info, values, low, high: high > low ? high : low + 1 };
}

function fillChoices(job: Job): void {
  const entries = job.columns.map((info) => [info.name, info.title] as [string, string]);
  const has = (name: string) => job.columns.some((info) => info.name === name);
  const start = job.latents === 2 ? ["latent1", "latent2"] : ["pca1", has("pca2") ? "pca2" : entries.find(([name]) => name !== "pca1" && name !== "latent1")?.[0] ?? "latent1"];
  const places = entries.filter(([name]) => /^(pca|umap|latent)\d+$/.test(name) || job.latents === 1);
  options(select("x-axis"), places, start[0]);
  options(select("y-axis"), places, start[1]);
  options(select("shade"), [["", "density"], ...entries.filter(([name]) => !/^umap/.test(name))]);
}

function wireMap(map: LatentMap, showAxes: () => Promise<void>, showShade: () => Promise<void>): void {
  select("x-axis").onchange = select("y-axis").onchange = () => void showAxes();
  select("shade").onchange = () => void showShade();
  select("lift").onchange = () => { if (map.cursor) map.moveCursor(...map.cursor); };
  for (const each of document.querySelectorAll<HTMLButtonElement>("[data-tool]")) each.onclick = () => chooseTool(map, each.dataset.tool as Tool);
  chooseTool(map, "drag");
  button("zoom-in").onclick = () => map.zoom(0.7);
  button("zoom-out").onclick = () => map.zoom(1.4);
  button("fit").onclick = () => map.fit();
}

function chooseTool(map: LatentMap, tool: Tool): void {
  map.tool = tool;
  for (const each of document.querySelectorAll<HTMLButtonElement>("[data-tool]")) each.setAttribute("aria-checked", String(each.dataset.tool === tool));
}

function wireModel(view: ModelView, motion: MotionPanel, referenceName: () => string): void {
  const refresh = () => {
    view.look = select("look").value as Look;
    view.tint = select("tint").value as Tint;
    view.beside = select("beside").value as Beside;
    view.level = input("level").valueAsNumber;
    if (!motion.pins.a) select("reference").value = "neutral";
    select("reference").options[1].disabled = !motion.pins.a;
    view.reference = select("reference").value === "a" ? motion.pins.a!.answer.model : null;
    element("level-label").hidden = view.look !== "surface";
    element("split-names").hidden = view.beside !== "beside";
    element("split-name").textContent = referenceName();
    view.refresh();
  };
  for (const id of ["look", "tint", "reference", "beside"]) select(id).onchange = refresh;
  input("level").oninput = refresh;
  motion.onPins = refresh;
  button("face").onclick = () => view.resetCamera();
  refresh();
}

function wireSelection(map: LatentMap, motion: MotionPanel, connection: Connection, commands: CommandList, job: Job): void {
  button("undo").onclick = () => map.selection.undo();
  button("clear").onclick = () => map.selection.clear();
  button("nearest").onclick = async () => {
    if (!motion.current) return;
    const found = await connection.act({ do: "nearest", latent: Array.from(motion.current.latent), count: input("nearest-count").valueAsNumber });
    if (found.error) say(found.error, true);
    else map.selection.apply(unpackRows(found.rows, job.particles), "replace");
  };
  const send = (what: "keep" | "rebuild") => async () => {
    const name = input("name").value.trim();
    if (!map.selection.count) return say("choose particles first: lasso, rectangle or nearest", true);
    if (!name) { input("name").focus(); return say("give the selection a name", true); }
    say("writing …");
    const done = await connection.act({ do: what, name, rows: packRows(map.selection.chosen) });
    if (done.error) return say(done.error, true);
    say(what === "keep" ? `${map.selection.count} particles in ${job.folder}/selections` : "started; see the commands");
    commands.add(done.scene, "for ChimeraX: models and arrows, from the mean of all particles to the mean of these; then open show.cxc");
    if (what === "keep") commands.add(done.command, "written");
  };
  button("keep").onclick = send("keep");
  button("rebuild").onclick = send("rebuild");
}

function wireKeys(map: LatentMap, motion: MotionPanel): void {
  const tools: Record<string, Tool> = { d: "drag", l: "lasso", r: "rectangle", p: "pan" };
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement, key = event.key.toLowerCase();
    if (target.matches("input:not([type=range]):not([type=checkbox]), select, dialog *")) return;
    if ((event.ctrlKey || event.metaKey) && key === "z") map.selection.undo();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (tools[key]) chooseTool(map, tools[key]);
    else if (key === "a" || key === "b") motion.pin(key);
    else if (key === "n") button("nearest").click();
    else if (key === "escape") map.selection.clear();
    else if (key === " " && !target.matches("button, input")) motion.toggle();
    else return;
    event.preventDefault();
  });
}

async function start(): Promise<void> {
  helpDialog();
  const job = await fetchJson<Job>("job");
  document.title = `${job.name} · cryomix`;
  element("title").textContent = job.name;
  if (!job.particles) { themes(() => location.reload()); await watchTraining(job.folder); mark("ready"); return; }
  element("facts").textContent = `${job.particles.toLocaleString("en")} particles · ${job.latents} latents · ${job.gaussians.toLocaleString("en")} Gaussians`;
  await explore(job);
}

start().catch((error) => { element("state").textContent = String(error); throw error; });
