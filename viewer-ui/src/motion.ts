/** Two pinned places, the way between them, the job's paths, and what single domains do. */

import { CommandList, quoted } from "./commandlist";
import { Connection } from "./connection";
import { Page, make, options, short } from "./dom";
import { LatentMap } from "./latentmap";
import { ModelView } from "./modelview";
import { Answer, Job, LATENT } from "./protocol";

const PERIOD = 5000; // milliseconds there and back
export type Pinned = { answer: Answer; x: number; y: number };

export class MotionPanel {
  pins: { a: Pinned | null; b: Pinned | null } = { a: null, b: null };
  current: Answer | null = null;
  onPins: () => void = () => {};
  private started = 0;
  private playing = false;
  private sliders: HTMLInputElement[] = [];
  private motions = ""; // that there are sliders for

  constructor(
    private page: Page,
    private job: Job,
    private map: LatentMap,
    private view: ModelView,
    private connection: Connection,
    private commands: CommandList,
    private project: (latent: ArrayLike<number>) => [number, number] | null,
  ) {
    this.page.button("pin-a").onclick = () => this.pin("a");
    this.page.button("pin-b").onclick = () => this.pin("b");
    this.page.button("unpin").onclick = () => {
      this.pins = { a: null, b: null };
      this.stop();
      this.refresh();
    };
    this.page.button("play").onclick = () => this.toggle();
    this.page.select("path").onchange = () => {
      this.tellPath();
      this.refresh();
    };
    this.page.input("along").oninput = () => {
      this.stop();
      this.goTo(this.page.input("along").valueAsNumber);
    };
    this.page.input("arrows").onchange = this.page.input("scale").oninput = () => this.refresh();
    this.makeSliders();
    this.refresh();
  }

  pin(which: "a" | "b"): void {
    const at = this.map.cursor;
    if (!this.current) return;
    const place = at ?? this.project(this.current.latent) ?? [0, 0];
    this.pins[which] = { answer: this.current, x: place[0], y: place[1] };
    if (this.pins.a && this.pins.b) {
      this.page.select("path").value = "A to B";
      this.page.input("arrows").checked = true;
    }
    this.refresh();
    if (this.pins.a && this.pins.b) this.tellPath();
  }

  toggle(): void {
    if (this.playing || !this.latents()) return this.stop();
    this.playing = true;
    this.started = performance.now() - (this.page.input("along").valueAsNumber * PERIOD) / 2;
    this.page.button("play").textContent = "Stop";
    const step = () => {
      if (!this.playing) return;
      const t = ((performance.now() - this.started) % PERIOD) / PERIOD,
        there = t < 0.5 ? 2 * t : 2 - 2 * t;
      this.page.input("along").value = String(there);
      this.goTo(there);
      requestAnimationFrame(step);
    };
    step();
  }

  stop(): void {
    this.playing = false;
    this.page.button("play").textContent = "Play";
  }

  /** Of a job that has changed: models at the pins, none where that is no latent any more. */
  renew(a: Answer | null, b: Answer | null): void {
    const { pins } = this;
    this.pins = {
      a: a && pins.a && { ...pins.a, answer: a },
      b: b && pins.b && { ...pins.b, answer: b },
    };
    this.makeSliders();
    if (!this.latents()) this.stop();
    this.refresh();
  }

  /** Marks, arrows and path drawn anew, as after a change of axes. */
  refresh(): void {
    const { a, b } = this.pins;
    this.map.marks = [];
    for (const [label, pin] of [
      ["A", a],
      ["B", b],
    ] as const) {
      const place = pin && (this.project(pin.answer.latent) ?? [pin.x, pin.y]);
      if (place) this.map.marks.push({ x: place[0], y: place[1], label });
    }
    const before = this.page.select("path").value,
      names = Object.keys(this.job.paths);
    options(
      this.page.select("path"),
      [...(a && b ? [["A to B", "A to B"]] : []), ...names.map((name) => [name, name])] as [
        string,
        string,
      ][],
      before,
    );
    const path = this.latents();
    this.page.button("play").disabled = this.page.input("along").disabled = !path;
    this.page.button("pin-a").disabled = this.page.button("pin-b").disabled = !this.current;
    this.map.path = path
      ? path.map((row) => this.project(row)).filter((place) => place !== null)
      : [];
    const scale = this.page.input("scale").valueAsNumber;
    this.view.arrows =
      a && b && this.page.input("arrows").checked && scale > 0
        ? { from: a.answer.model, to: b.answer.model, scale }
        : null;
    this.view.refresh();
    this.map.drawOver();
    this.onPins();
  }

  private latents(): ArrayLike<number>[] | null {
    const { a, b } = this.pins,
      name = this.page.select("path").value;
    if (name === "A to B") return a && b ? [a.answer.latent, b.answer.latent] : null;
    return this.job.paths[name] ?? null;
  }

  private goTo(part: number): void {
    const path = this.latents();
    if (!path) return;
    const place = part * (path.length - 1),
      k = Math.min(path.length - 2, Math.floor(place)),
      f = place - k;
    if (path.length === 1) return this.ask(Array.from(path[0]));
    this.ask(Array.from(path[k], (value, i) => value + f * (path[k + 1][i] - value)));
  }

  /** Whatever is played ends. */
  goToLatent(latent: number[]): void {
    this.stop();
    this.ask(latent);
  }

  private ask(latent: number[]): void {
    this.map.cursor = this.project(latent);
    this.map.drawOver();
    this.connection.ask(LATENT, [0, 0], latent);
  }

  private tellPath(): void {
    if (this.job.training) return; // those commands need the trained job, and it has other latents
    const name = this.page.select("path").value,
      folder = quoted(this.job.folder);
    const text = (pin: Pinned) =>
      Array.from(pin.answer.latent, (value) => value.toFixed(4)).join(",");
    const scene = (path: string, note: string) => {
      const scale = this.page.input("scale").valueAsNumber,
        longer = scale > 0 && scale !== 1 ? ` --scale ${scale}` : "";
      this.commands.add(
        `cryomix export ${folder} --to chimerax --along ${quoted(path)}${longer} -o ${quoted(path + "_scene")}`,
        note,
      );
    };
    if (name === "A to B" && this.pins.a && this.pins.b) {
      scene("a_to_b", "after that, for ChimeraX: then open show.cxc");
      this.commands.add(
        `cryomix trajectory ${folder} straight ${text(this.pins.a)} ${text(this.pins.b)} -o a_to_b`,
        "the path from A to B, for draw, decode and reconstruct",
      );
    } else if (name) {
      scene(name, "for ChimeraX: maps and arrows along this path; then open show.cxc");
      this.commands.add(
        `cryomix reconstruct ${folder} --trajectory ${quoted(name)} --no-clusters`,
        "maps along this path",
      );
    }
  }

  private makeSliders(): void {
    const panel = this.page.element("motions");
    const motions = JSON.stringify(this.job.motions);
    if (this.motions === motions) return;
    this.motions = motions;
    this.sliders = [];
    panel.replaceChildren();
    for (const motion of this.job.motions) {
      const label = make("label", motion.name, panel),
        slider = make("input", "", panel),
        told = make("span", "0 Å", panel);
      label.htmlFor = slider.id = `motion-${motion.name}`;
      slider.type = "range";
      slider.min = String(Math.min(0, motion.low));
      slider.max = String(Math.max(0, motion.high));
      slider.step = "any";
      slider.value = "0";
      this.sliders.push(slider);
      slider.oninput = () => {
        this.stop();
        told.textContent = `${short(slider.valueAsNumber)} Å`;
        const latent = new Array<number>(this.job.latents).fill(0);
        this.job.motions.forEach((each, k) =>
          each.direction.forEach((d, i) => (latent[i] += d * this.sliders[k].valueAsNumber)),
        );
        this.ask(latent);
      };
    }
  }
}
