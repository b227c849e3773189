/** Two pinned places, paths through them and along what was drawn, and their player. */

import { quoted } from "./commandlist";
import { DomainSliders } from "./domainsliders";
import { options } from "./dom";
import type { Explorer } from "./explorer";
import { Answer, IN_PLANE, LATENT } from "./protocol";
import { Player } from "./player";
import { tellPath } from "./pathcommands";
import { FAR, Plan, Route, describe, latentAt, legs, placeOnStrip, planeOf, stepAt } from "./route";
import { Place, ellipse } from "./sketch";
import { drawStrip } from "./strip";

export type Pinned = { answer: Answer; x: number; y: number };

// Paths that are not kept, as the list of paths names them and as files are called by default.
const STRAIGHT = "A to B";
const LAID: Record<string, [title: string, file: string]> = {
  [STRAIGHT]: ["A to B", "a_to_b"],
  ":geodesic": ["A to B, where particles are", "geodesic_path"],
  ":circle": ["circle", "circle"],
  ":drawn": ["drawn line", "drawn"],
};

export class MotionPanel {
  pins: { a: Pinned | null; b: Pinned | null } = { a: null, b: null };
  current: Answer | null = null;
  onPins: () => void = () => {};
  route: Route | null = null;
  readonly player: Player;
  readonly domains: DomainSliders;
  private laid = new Map<string, Route>();
  private order = 0;
  private measuring = "";

  constructor(private explorer: Explorer) {
    const { page, job, map, connection, commands } = explorer;
    this.player = new Player(
      page,
      () => (this.route ? legs(this.route) : 0),
      (part) => this.goTo(part),
    );
    this.domains = new DomainSliders(page, job, connection, commands, (latent) =>
      this.goToLatent(latent),
    );
    page.button("pin-a").onclick = () => this.pin("a");
    page.button("pin-b").onclick = () => this.pin("b");
    page.button("unpin").onclick = () => this.unpin();
    page.select("path").onchange = () => this.choose();
    page.input("arrows").onchange = page.input("scale").oninput = () => this.refresh();
    page.input("steps").onchange = () => {
      if (this.route?.plan) void this.lay(page.select("path").value, this.route.plan);
    };
    page.button("keep-path").onclick = () => void this.keep();
    page.button("rebuild-path").onclick = () => void this.rebuild();
    page.input("follow").onchange = () => this.goTo(this.player.part);
    for (const tab of page.all<HTMLButtonElement>("[data-tab]"))
      tab.onclick = () => this.showTab(tab.dataset.tab!);
    map.onCircle = (center, half) => this.circle(center, half);
    map.onLine = (places, closed) => this.line(places, closed);
    this.refresh();
  }

  pin(which: "a" | "b"): void {
    const { page, map, controls } = this.explorer;
    if (!this.current) return;
    const place = map.cursor ?? controls.project(this.current.latent) ?? [0, 0];
    this.pins[which] = { answer: this.current, x: place[0], y: place[1] };
    const { a, b } = this.pins;
    this.laid.delete(STRAIGHT);
    this.laid.delete(":geodesic");
    if (!a || !b) return this.refresh();
    page.input("arrows").checked = true;
    const plan = this.planOf(STRAIGHT);
    if (!this.explorer.job.training) return void this.lay(STRAIGHT, plan);
    // Steps are evenly far apart only once the decoder stays as it is.
    const still = { closed: false, plan: null, displacement: null, command: "", strip: null };
    this.laid.set(STRAIGHT, { ...still, latents: plan.points!, stale: false });
    this.refresh();
    page.select("path").value = STRAIGHT;
    this.choose();
  }

  /** Of a job that has changed: models at the pins, none where that is no latent any more. */
  renew(a: Answer | null, b: Answer | null): void {
    const { page, job } = this.explorer;
    const { pins } = this;
    this.pins = {
      a: a && pins.a && { ...pins.a, answer: a },
      b: b && pins.b && { ...pins.b, answer: b },
    };
    this.domains.renew();
    for (const [name, route] of this.laid) {
      const kept = job.paths[name];
      const isGone = route.latents[0].length !== job.latents || (!(name in LAID) && !kept);
      if (isGone) this.laid.delete(name);
      else if (route.plan) route.stale = true;
      else if (kept && String(kept) !== String(route.latents)) this.laid.delete(name);
      route.strip = null;
    }
    if (!this.pins.a || !this.pins.b) {
      this.laid.delete(STRAIGHT);
      this.laid.delete(":geodesic");
    }
    this.refresh();
    if (!this.route) this.stop();
    else if (this.route.stale) void this.lay(page.select("path").value, this.route.plan!);
  }

  unpin(): void {
    this.pins = { a: null, b: null };
    this.laid.delete(STRAIGHT);
    this.laid.delete(":geodesic");
    this.stop();
    this.refresh();
    this.choose();
  }

  toggle = () => this.player.toggle();
  stop = () => this.player.stop();

  /** Drawn about `center`; without half axes, as wide as the particles lie. */
  private circle(center: Place, half: Place | null): void {
    const { page, controls } = this.explorer;
    const inPlane = Number(page.select("lift").value) === IN_PLANE;
    const plane = inPlane ? planeOf(controls.axes) : null;
    if (plane) {
      const radius = half && { radius: half[0] };
      const second = half && half[1] !== half[0] ? { second_radius: half[1] } : null;
      const how = { ...plane, ...radius, ...second };
      return void this.lay(":circle", { ...this.onMap([center]), kind: "circle", options: how });
    }
    if (!half) return this.say("on this map a circle has no radius of its own: drag", true);
    const around = this.onMap(ellipse(center, half));
    void this.lay(":circle", { ...around, kind: "through", options: { closed: true } });
  }

  private line(places: Place[], closed: boolean): void {
    const how = closed ? { closed } : {};
    void this.lay(":drawn", { ...this.onMap(places), kind: "through", options: how });
  }

  private onMap(places: Place[]): Pick<Plan, "places" | "columns" | "lift"> {
    const { page, controls } = this.explorer;
    return { places, columns: controls.columns, lift: Number(page.select("lift").value) };
  }

  private planOf(name: string): Plan {
    const { a, b } = this.pins;
    const points = [a, b].map((pin) => Array.from(pin!.answer.latent));
    return { kind: name === STRAIGHT ? "straight" : "geodesic", points, options: {} };
  }

  /** Ask for the path of a plan, and show it. */
  private async lay(name: string, plan: Plan): Promise<void> {
    const { page, connection } = this.explorer;
    const order = ++this.order;
    const steps = page.input("steps").valueAsNumber;
    this.stop();
    this.say("laying the path …");
    const asked = { ...plan, options: { ...plan.options, steps } };
    const file = this.freeName(LAID[name][1]);
    const done = await connection.act({ do: "lay path", name: file, ...asked });
    if (order !== this.order) return; // another was asked for meanwhile
    this.say(done.error ?? "", Boolean(done.error));
    if (done.error) return this.refresh();
    this.laid.set(name, {
      latents: done.latents,
      closed: done.closed,
      plan: { kind: plan.kind, points: done.points, options: asked.options },
      displacement: done.displacement,
      command: done.command,
      strip: null,
      stale: false,
    });
    this.suggest(file);
    this.refresh();
    page.select("path").value = name;
    this.choose();
  }

  /** A name for the path, unless the user has typed one. */
  private suggest(name: string): void {
    const field = this.explorer.page.input("path-name");
    if (!field.value || field.value === this.suggested) field.value = name;
    this.suggested = name;
  }
  private suggested = "";

  private freeName(name: string): string {
    const { paths } = this.explorer.job;
    let number = 1;
    while ((number > 1 ? name + number : name) in paths) number++;
    return number > 1 ? name + number : name;
  }

  /** Take what the list of paths says. */
  private choose(): void {
    const name = this.explorer.page.select("path").value;
    this.stop();
    this.refresh();
    if (name === ":geodesic" && !this.route) return void this.lay(name, this.planOf(name));
    if (this.route?.stale) return void this.lay(name, this.route.plan!);
    if (!this.route) return;
    this.player.take(this.route.closed);
    const { page, job, commands } = this.explorer;
    if (job.training) return; // the commands need the trained job, and it has other latents
    const file = this.route.plan ? this.freeName(LAID[name][1]) : name;
    tellPath(commands, quoted(job.folder), file, this.route, page.input("scale").valueAsNumber);
  }

  /** Its route; kept ones are as the job has them. */
  private find(name: string): Route | null {
    const { job } = this.explorer;
    const found = this.laid.get(name);
    const latents = job.paths[name];
    if (found || !latents) return found ?? null;
    const closed = job.closed.includes(name);
    const rest = { plan: null, displacement: null, command: "", strip: null, stale: false };
    const route = { latents, closed, ...rest };
    this.laid.set(name, route);
    return route;
  }

  /** Marks, arrows and path drawn anew, as after a change of axes. */
  refresh(): void {
    const { page, map, view, controls, job } = this.explorer;
    const { a, b } = this.pins;
    map.marks = [];
    for (const [label, pin] of [
      ["A", a],
      ["B", b],
    ] as const) {
      const place = pin && (controls.project(pin.answer.latent) ?? [pin.x, pin.y]);
      if (place) map.marks.push({ x: place[0], y: place[1], label });
    }
    const laid = Object.entries(LAID).filter(
      ([name]) => this.laid.has(name) || (name === ":geodesic" && a && b && !job.training),
    );
    const entries = laid.map(([name, [title]]) => [name, title] as [string, string]);
    const kept = Object.keys(job.paths).map((name) => [name, name] as [string, string]);
    options(page.select("path"), [...entries, ...kept], page.select("path").value);
    this.route = this.find(page.select("path").value);
    for (const id of ["play", "step-back", "step-on", "along", "turn"])
      (page.element(id) as HTMLButtonElement).disabled = !this.route;
    page.button("pin-a").disabled = page.button("pin-b").disabled = !this.current;
    page.button("keep-path").disabled = !this.route?.plan;
    page.button("rebuild-path").disabled = !this.route || this.hasMaps() || job.training !== null;
    page.element("path-name").hidden = !this.route?.plan;
    page.element("follow-label").hidden = !this.hasMaps();
    const scale = page.input("scale").valueAsNumber;
    view.arrows =
      a && b && page.input("arrows").checked && scale > 0
        ? { from: a.answer.model, to: b.answer.model, scale }
        : null;
    this.drawPath();
    view.refresh();
    this.onPins();
    void this.measure();
  }

  private drawPath(): void {
    const { page, map, controls } = this.explorer;
    const { route } = this;
    map.path = map.ticks = [];
    if (route) {
      const places = Array.from(route.latents, (latent) => controls.project(latent));
      if (places.every((place) => place !== null)) {
        map.ticks = places;
        map.path = route.closed ? [...places, places[0]] : places;
      } else if (route.strip) {
        const part = (k: number) => k / Math.max(1, legs(route));
        map.ticks = places.map((_, k) => placeOnStrip(route.strip!, part(k)));
        map.path = route.strip.place;
      }
    }
    map.drawOver();
    const strip = route?.strip;
    const isFar = (i: number) => strip!.reach[i] > FAR;
    const canvas = page.element<HTMLCanvasElement>("along-strip");
    drawStrip(page, canvas, strip?.count ?? [], isFar);
    const told = strip ? describe(route, strip) : "";
    page.element("path-told").textContent = told;
    page.element("path-told").classList.toggle("bad", /extrapolated/.test(told));
    canvas.setAttribute("aria-label", `particles along the path: ${told}`);
  }

  /** Find how the path in the list lies among the particles, if that is not known on this map. */
  private async measure(): Promise<void> {
    const { connection, controls } = this.explorer;
    const { route } = this;
    const axes = controls.axes.join();
    if (!route || !controls.columns.every((column) => column >= 0)) return;
    const isLinear = controls.project(route.latents[0]) !== null;
    if (route.strip && (isLinear || route.strip.axes === axes)) return;
    const key = `${this.explorer.page.select("path").value} ${axes}`;
    if (this.measuring === key) return;
    this.measuring = key;
    const latents = Array.from(route.latents, (latent) => Array.from(latent));
    const { closed } = route;
    const columns = controls.columns;
    const done = await connection.act({ do: "measure path", latents, closed, columns });
    if (this.measuring === key) this.measuring = "";
    if (done.error) return; // there is no such path any more, or it is measured again soon
    route.strip = { ...done, axes };
    if (route === this.route) this.drawPath();
  }

  private goTo(part: number): void {
    const { page, overlay } = this.explorer;
    if (!this.route) return;
    this.ask(latentAt(this.route, part), part);
    if (page.input("follow").checked && this.hasMaps())
      overlay.follow(this.mapName(stepAt(this.route, part)));
  }

  /** Whatever is played ends. */
  goToLatent(latent: number[]): void {
    this.stop();
    this.ask(latent);
  }

  private ask(latent: number[], part?: number): void {
    const { map, controls, connection } = this.explorer;
    const strip = this.route?.strip;
    const near = strip && part !== undefined ? placeOnStrip(strip, part) : null;
    map.cursor = controls.project(latent) ?? near;
    map.drawOver();
    connection.ask(LATENT, [0, 0], latent);
  }

  private mapName(step: number): string {
    return this.explorer.page.select("path").value + String(step + 1).padStart(3, "0");
  }

  /** Whether maps were rebuilt at all points of the path. */
  private hasMaps(): boolean {
    const { overlay } = this.explorer;
    return (
      Array.from(this.route?.latents ?? [], (_, k) => this.mapName(k)).every((name) =>
        overlay.has(name),
      ) && this.route !== null
    );
  }

  /** Write the path under its name; the name, or none if that cannot be done. */
  private async keep(): Promise<string | null> {
    const { page, connection, commands, job } = this.explorer;
    const { route } = this;
    if (!route?.plan) return route && page.select("path").value;
    const name = page.input("path-name").value.trim();
    const done = await connection.act({ do: "keep path", name, ...route.plan });
    if (done.error) {
      this.say(done.error, true);
      return null;
    }
    page.input("path-name").value = "";
    job.paths[name] = done.latents;
    if (done.closed) job.closed.push(name);
    const { strip, displacement } = route;
    const latents = done.latents;
    this.laid.set(name, { ...route, latents, plan: null, displacement, strip });
    this.refresh();
    page.select("path").value = name;
    this.choose();
    commands.add(done.command, `written: ${job.folder}/analysis/trajectories/${name}.npy`);
    this.say(`kept as ${name}`);
    return name;
  }

  /** Maps of the particles along the path, which is kept first. */
  private async rebuild(): Promise<void> {
    const name = await this.keep();
    if (!name) return;
    const done = await this.explorer.connection.act({ do: "rebuild path", name });
    this.say(done.error ?? "maps along the path: see the commands", Boolean(done.error));
  }

  private showTab(name: string): void {
    const { page } = this.explorer;
    for (const tab of page.all<HTMLButtonElement>("[data-tab]")) {
      const chosen = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", String(chosen));
      page.element(`${tab.dataset.tab}-panel`).hidden = !chosen;
    }
    page.element("domains-reset").hidden = name !== "domains";
    if (name === "domains") void this.domains.draw();
  }

  private say(text: string, bad = false): void {
    const said = this.explorer.page.element("path-said");
    said.textContent = text;
    said.classList.toggle("bad", bad);
  }
}
