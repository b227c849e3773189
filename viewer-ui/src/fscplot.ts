/** How far half maps agree, against resolution: the map that is shown, and its like. */

import { CATEGORIES } from "./colors";
import { Connection } from "./connection";
import { Page, make, short } from "./dom";
import { Curve } from "./protocol";

const THRESHOLD = 0.143;
const MOST = 24; // curves in one plot
const WIDTH = 380;
const HEIGHT = 190;
const EDGE = { left: 40, right: 8, top: 8, bottom: 34 };
const LOW = -0.1; // of the correlation; noise is below zero now and then
const NEAR = 9; // points from the pointer to a curve that is named
const TICKS = [100, 50, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5, 1]; // Å

export class FscPanel {
  private names: string[] = [];
  private name = "";
  private curves = new Map<string, Curve>();
  private shell = -1;

  constructor(
    private page: Page,
    private connection: Connection,
    private fail: (text: string) => void,
  ) {
    page.button("fsc-button").onclick = () => void this.toggle();
    page.button("fsc-close").onclick = () => this.close();
    const panel = page.element("fsc");
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.close();
      event.stopPropagation();
    });
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("keydown", (event) => this.key(event));
  }

  /** Maps of which there are curves now. */
  offer(names: string[]): void {
    this.names = names;
    this.page.button("fsc-button").hidden = !names.length;
  }

  /** Of the map that is shown now, if there is a curve of it. */
  async follow(name: string): Promise<void> {
    if (this.names.includes(name)) this.name = name;
    if (!this.page.element("fsc").hidden) await this.open(this.name);
  }

  async open(name: string): Promise<void> {
    this.name = name;
    const like = stem(name);
    const others = this.names.filter((each) => each !== name && stem(each) === like);
    try {
      const wanted = [name, ...others.slice(0, MOST - 1)];
      const read = await Promise.all(wanted.map((each) => this.connection.curve(each)));
      if (this.name !== name) return; // another was asked for meanwhile
      this.curves = new Map(wanted.map((each, i) => [each, read[i]]));
    } catch (error) {
      return this.fail(String(error));
    }
    this.shell = -1;
    this.page.element("fsc").hidden = false;
    this.page.button("fsc-button").setAttribute("aria-pressed", "true");
    this.draw();
  }

  draw(): void {
    const curve = this.curves.get(this.name);
    if (!curve || this.page.element("fsc").hidden) return;
    const { masked, unmasked } = curve.resolution;
    this.page.element("fsc-name").textContent = this.name;
    const [first, last] = [curve.particles[0], curve.particles.at(-1)].map((n) => count(n));
    const made = first === last ? `${first} particles` : `${first} to ${last} particles in effect`;
    this.page.element("fsc-facts").textContent =
      `masked ${angstroms(masked)} · unmasked ${angstroms(unmasked)} · ${made}`;
    this.paint(curve);
    this.read(curve);
    this.table(curve);
  }

  private get plot(): SVGSVGElement {
    return this.page.element("fsc-plot") as unknown as SVGSVGElement;
  }

  private async toggle(): Promise<void> {
    if (!this.page.element("fsc").hidden) return this.close();
    const [first] = this.names;
    await this.open(this.names.includes(this.name) ? this.name : first);
    this.plot.focus();
  }

  private close(): void {
    this.page.element("fsc").hidden = true;
    const button = this.page.button("fsc-button");
    button.setAttribute("aria-pressed", "false");
    button.focus();
  }

  private get most(): number {
    return Math.max(...[...this.curves.values()].map((curve) => curve.frequency.at(-1)!));
  }

  private x(frequency: number): number {
    return EDGE.left + (frequency / this.most) * (WIDTH - EDGE.left - EDGE.right);
  }

  private paint(curve: Curve): void {
    const { plot, page } = this;
    plot.replaceChildren();
    const [ink, soft, accent] = ["--ink", "--soft", "--accent"].map((name) => page.ink(name));
    for (const value of [0, 0.5, 1]) {
      const y = height(value);
      draw(
        plot,
        "line",
        { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y, y2: y, stroke: soft },
        0.3,
      );
      label(plot, EDGE.left - 4, y + 4, String(value), "end", soft);
    }
    const y = height(THRESHOLD);
    const across = { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y, y2: y };
    draw(plot, "line", { ...across, stroke: ink, "stroke-dasharray": "2 3" });
    label(plot, EDGE.left - 4, y - 1, "0.143", "end", ink);
    let before = EDGE.left - 20;
    for (const resolution of TICKS) {
      const x = this.x(1 / resolution);
      if (x < before + 34 || x > WIDTH - EDGE.right - 6) continue;
      before = x;
      draw(plot, "line", { x1: x, x2: x, y1: height(LOW), y2: height(1), stroke: soft }, 0.18);
      label(plot, x, HEIGHT - 21, String(resolution), "middle", ink);
      label(plot, x, HEIGHT - 7, (1 / resolution).toFixed(3), "middle", soft);
    }
    label(plot, EDGE.left - 4, HEIGHT - 21, "Å", "end", ink);
    label(plot, EDGE.left - 4, HEIGHT - 7, "1/Å", "end", soft);
    [...this.curves].forEach(([name, other]) => {
      if (name !== this.name) this.line(other, other.masked, colorOf(name), 1.2, "", 0.75);
    });
    this.line(curve, curve.fsc, ink, 1.5, "5 3");
    this.line(curve, curve.masked, accent, 3);
    if (this.shell < 0) return;
    const x = this.x(curve.frequency[this.shell]);
    draw(plot, "line", { x1: x, x2: x, y1: height(LOW), y2: height(1), stroke: ink });
    const value = curve.masked[this.shell];
    if (value !== null) draw(plot, "circle", { cx: x, cy: height(value), r: 4, fill: accent });
  }

  private line(
    curve: Curve,
    values: (number | null)[],
    stroke: string,
    width: number,
    dashes = "",
    opacity = 1,
  ): void {
    const points = values.flatMap((value, i) =>
      value === null
        ? []
        : [`${this.x(curve.frequency[i]).toFixed(1)},${height(value).toFixed(1)}`],
    );
    const look = { points: points.join(" "), fill: "none", stroke, "stroke-width": width };
    draw(this.plot, "polyline", { ...look, "stroke-dasharray": dashes }, opacity);
  }

  /** The numbers of a shell, in words. */
  private read(curve: Curve, near = ""): void {
    const { plot, shell } = this;
    plot.setAttribute("aria-valuemax", String(curve.frequency.length - 1));
    plot.setAttribute("aria-valuenow", String(Math.max(shell, 0)));
    let text = "━ masked   ╌ unmasked; point at the curves, or use the arrow keys";
    if (shell >= 0) {
      const frequency = curve.frequency[shell];
      const place = frequency ? `${short(1 / frequency)} Å (${frequency.toFixed(4)} 1/Å)` : "0 1/Å";
      text =
        `${place}: masked ${digits(curve.masked[shell])}, unmasked ${digits(curve.fsc[shell])}, ` +
        `${count(curve.particles[shell])} particles${near}`;
    }
    this.page.element("fsc-read").textContent = text;
    plot.setAttribute("aria-valuetext", text);
  }

  private point(event: PointerEvent): void {
    const curve = this.curves.get(this.name);
    if (!curve) return;
    const box = this.plot.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const y = ((event.clientY - box.top) / box.height) * HEIGHT;
    const frequency = ((x - EDGE.left) / (WIDTH - EDGE.left - EDGE.right)) * this.most;
    this.shell = nearest(curve, frequency);
    let best = NEAR;
    let near = "";
    for (const [name, other] of this.curves) {
      const value = other.masked[nearest(other, frequency)];
      if (name === this.name || value === null || Math.abs(height(value) - y) > best) continue;
      best = Math.abs(height(value) - y);
      near = `; ${name} ${digits(value)}`;
    }
    this.paint(curve);
    this.read(curve, near);
  }

  private key(event: KeyboardEvent): void {
    const curve = this.curves.get(this.name);
    const last = (curve?.frequency.length ?? 1) - 1;
    const to: Record<string, number> = {
      ArrowLeft: this.shell - 1,
      ArrowRight: this.shell + 1,
      Home: 0,
      End: last,
    };
    if (!curve || !(event.key in to)) return;
    this.shell = Math.max(0, Math.min(last, to[event.key]));
    this.paint(curve);
    this.read(curve);
    event.preventDefault();
  }

  private table(curve: Curve): void {
    const maps = this.page.element<HTMLTableElement>("fsc-maps");
    rows(
      maps,
      ["map", "masked", "unmasked", "particles"],
      [...this.curves].map(([name, { resolution, particles }]) => [
        name,
        angstroms(resolution.masked),
        angstroms(resolution.unmasked),
        count(particles[0]),
      ]),
    );
    const shells = this.page.element<HTMLTableElement>("fsc-shells");
    rows(
      shells,
      ["Å", "1/Å", "masked", "unmasked", "particles"],
      curve.frequency.map((frequency, i) => [
        frequency ? short(1 / frequency) : "–",
        frequency.toFixed(4),
        digits(curve.masked[i]),
        digits(curve.fsc[i]),
        count(curve.particles[i]),
      ]),
    );
    this.page.element("fsc-file").textContent = curve.file;
  }
}

function stem(name: string): string {
  return name.startsWith("selection ") ? "selection" : name.replace(/\d+$/, "");
}

/** A cluster has the colour that it has on the map. */
function colorOf(name: string): string {
  const number = Number(/\d+$/.exec(name)?.[0] ?? 1);
  return `rgb(${CATEGORIES[(number - 1 + CATEGORIES.length) % CATEGORIES.length].join(",")})`;
}

function height(value: number): number {
  const share = (Math.max(LOW, value) - LOW) / (1 - LOW);
  return HEIGHT - EDGE.bottom - share * (HEIGHT - EDGE.bottom - EDGE.top);
}

function nearest(curve: Curve, frequency: number): number {
  const shells = curve.frequency.length - 1;
  return Math.max(0, Math.min(shells, Math.round((frequency / curve.frequency[shells]) * shells)));
}

function draw(
  parent: SVGElement,
  tag: string,
  look: Record<string, string | number>,
  opacity = 1,
): SVGElement {
  const made = document.createElementNS(parent.namespaceURI, tag) as SVGElement;
  for (const [name, value] of Object.entries(look)) made.setAttribute(name, String(value));
  made.setAttribute("opacity", String(opacity));
  parent.append(made);
  return made;
}

function label(
  plot: SVGElement,
  x: number,
  y: number,
  text: string,
  anchor: string,
  fill: string,
): void {
  const look = { x, y, fill, "text-anchor": anchor, "font-size": 11 };
  draw(plot, "text", look).textContent = text;
}

function rows(table: HTMLTableElement, head: string[], cells: string[][]): void {
  table.replaceChildren();
  const first = make("tr", "", table);
  for (const text of head) make("th", text, first).scope = "col";
  for (const texts of cells) {
    const row = make("tr", "", table);
    for (const text of texts) make("td", text, row);
  }
}

function angstroms(value: number | null): string {
  return value === null ? "none" : `${value.toFixed(1)} Å`;
}

function digits(value: number | null): string {
  return value === null ? "–" : value.toFixed(3);
}

function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en");
}
