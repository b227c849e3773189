/** What stands above the map and above the molecule: axes, colours, tools, looks. */

import { options } from "./dom";
import type { Explorer } from "./explorer";
import { Tool, range } from "./latentmap";
import { Shade } from "./mapdrawing";
import { Beside, Look, Tint } from "./modelview";
import { ColumnInfo, IN_PLANE, Job } from "./protocol";
import { trace } from "./trace";

export class MapControls {
  private shown = { axes: "", shade: "" }; // with the version of the job

  constructor(private explorer: Explorer) {
    const { page, map } = explorer;
    this.fillChoices();
    page.select("x-axis").onchange = page.select("y-axis").onchange = () => void this.showAxes();
    page.select("shade").onchange = () => void this.showShade();
    page.select("lift").onchange = () => {
      if (map.cursor) map.moveCursor(...map.cursor);
    };
    for (const each of this.tools) each.onclick = () => this.choose(each.dataset.tool as Tool);
    this.choose("drag");
    page.button("zoom-in").onclick = () => map.zoom(0.7);
    page.button("zoom-out").onclick = () => map.zoom(1.4);
    page.button("fit").onclick = () => map.fit();
  }

  get axes(): [string, string] {
    const { page } = this.explorer;
    return [page.select("x-axis").value, page.select("y-axis").value];
  }

  /** Numbers of the axes in the list of columns. */
  get columns(): [number, number] {
    const { columns } = this.explorer.job;
    const number = (name: string) => columns.findIndex((info) => info.name === name);
    return this.axes.map(number) as [number, number];
  }

  choose(tool: Tool): void {
    this.explorer.map.forgetStops();
    this.explorer.map.tool = tool;
    for (const each of this.tools)
      each.setAttribute("aria-checked", String(each.dataset.tool === tool));
  }

  /** Ask for the model at a place of the map. */
  ask(x: number, y: number): void {
    const { page, connection } = this.explorer;
    connection.ask(Number(page.select("lift").value), this.columns, [x, y]);
  }

  /** Where a latent lies on this map; unknown where an axis is no function of the latent. */
  project(latent: ArrayLike<number>): [number, number] | null {
    const { job } = this.explorer;
    const place = this.axes.map((name) => {
      const axis = job.axes[job.linear.indexOf(name)];
      return axis?.direction.reduce((sum, d, i) => sum + d * latent[i], axis.offset) ?? NaN;
    });
    return place.every(Number.isFinite) ? (place as [number, number]) : null;
  }

  /** Show what is chosen, if that could not be done before or the job has changed since. */
  async catchUp(): Promise<void> {
    const { axes, shade } = this.wanted;
    const stays = this.shown.axes.split(" ")[1] === axes.split(" ")[1];
    if (this.shown.axes !== axes) await this.showAxes(stays);
    if (this.shown.shade !== shade) await this.showShade();
  }

  /** `stays`: they are the axes that were shown before, and so does what is in view. */
  async showAxes(stays = false): Promise<void> {
    const { page, connection, map, motion, job } = this.explorer;
    const wanted = this.wanted.axes;
    let places: Float32Array[];
    try {
      places = await Promise.all(this.axes.map((name) => connection.column(name)));
    } catch (error) {
      return this.explorer.say(String(error), true);
    }
    if (this.wanted.axes !== wanted) return; // others were chosen meanwhile
    this.shown.axes = wanted;
    const [x, y] = places;
    const lift = page.select("lift");
    lift.options[0].disabled = !this.isLinear();
    if (!this.isLinear()) lift.value = "1";
    else if (job.latents === 2) lift.value = String(IN_PLANE);
    if (stays) map.replace(x, y);
    else map.show(x, y);
    if (map.cursor && motion.current)
      map.cursor = this.project(motion.current.latent) ?? map.cursor;
    motion.refresh();
    trace.axes = this.axes.join();
  }

  async showShade(): Promise<void> {
    const { page, connection, map, job } = this.explorer;
    const name = page.select("shade").value;
    const wanted = this.wanted.shade;
    try {
      const info = job.columns.find((each) => each.name === name);
      const values = info && (await connection.column(name));
      const names = info?.kind === "named" ? await connection.groups(name) : [];
      if (this.wanted.shade !== wanted) return;
      this.shown.shade = wanted;
      map.shade = info && values ? shadeOf(info, values, names) : null;
    } catch (error) {
      this.explorer.say(String(error), true);
    }
    map.draw();
    trace.shade = name;
  }

  private get wanted(): { axes: string; shade: string } {
    const { page, job } = this.explorer;
    return {
      axes: `${job.version} ${this.axes}`,
      shade: `${job.version} ${page.select("shade").value}`,
    };
  }

  private get tools(): NodeListOf<HTMLButtonElement> {
    return this.explorer.page.all("[data-tool]");
  }

  private isLinear(): boolean {
    const { job } = this.explorer;
    const [x, y] = this.axes;
    return x !== y && job.linear.includes(x) && job.linear.includes(y);
  }

  /** The columns that there are; what was chosen stays if it is among them. */
  fillChoices(): void {
    const { page, job } = this.explorer;
    const entries = job.columns.map((info) => [info.name, info.title] as [string, string]);
    const places = entries.filter(
      ([name]) => /^(pca|umap|latent)\d+$/.test(name) || job.latents === 1,
    );
    const [x, y] = firstAxes(job);
    const shades = entries.filter(([name]) => !/^umap/.test(name));
    const fill = (id: string, choices: [string, string][], first: string) => {
      const { value } = page.select(id);
      const stays = choices.some(([name]) => name === value);
      options(page.select(id), choices, stays ? value : first);
    };
    fill("x-axis", places, x);
    fill("y-axis", places, y);
    fill("shade", [["", "density"], ...shades], "");
  }
}

function firstAxes(job: Job): [string, string] {
  if (job.latents === 2) return ["latent1", "latent2"];
  const names = job.columns.map((info) => info.name);
  // One latent alone is a line: how sure it is of each particle makes a plane of it.
  const second = ["pca2", "uncertainty", ...names.slice(1)].find((name) => names.includes(name));
  return ["pca1", second ?? "pca1"];
}

function shadeOf(info: ColumnInfo, values: Float32Array, names: string[]): Shade {
  const most = values.reduce((largest, value) => (value > largest ? value : largest), -Infinity);
  if (info.kind === "angle") {
    const round = most > 180.5; // from 0, not from the middle
    return { info, values, low: round ? 0 : -180, high: round ? 360 : 180, names };
  }
  if (info.kind !== "number") return { info, values, low: 1, high: Math.max(1, most), names };
  const [low, high] = range(values, 0, 0.01);
  return { info, values, low, high: high > low ? high : low + 1, names };
}

export function wireModel(explorer: Explorer): void {
  const { page, view, motion } = explorer;
  const refresh = () => {
    view.look = page.select("look").value as Look;
    view.tint = page.select("tint").value as Tint;
    view.beside = page.select("beside").value as Beside;
    view.level = page.input("level").valueAsNumber;
    const reference = page.select("reference");
    const { a } = motion.pins;
    if (!a) reference.value = "neutral";
    reference.options[1].disabled = !a;
    view.reference = a && reference.value === "a" ? a.answer.model : null;
    page.element("level-label").hidden = view.look !== "surface";
    page.element("split-names").hidden = view.beside !== "beside";
    page.element("split-name").textContent = explorer.referenceName;
    view.refresh();
  };
  for (const id of ["look", "tint", "reference", "beside"]) page.select(id).onchange = refresh;
  page.input("level").oninput = refresh;
  motion.onPins = refresh;
  refresh();
}
