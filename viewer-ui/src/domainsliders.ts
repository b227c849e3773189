/** What single domains do, as sliders in Å: alone, both, or against each other. */

import { CommandList, quoted } from "./commandlist";
import { Page, make, options, short } from "./dom";
import { range } from "./latentmap";
import { Connection } from "./connection";
import { Job } from "./protocol";
import { latentWord } from "./route";
import { drawStrip, histogram } from "./strip";

const BINS = 80;
const ENDS = 0.01; // share of the particles beyond each end of what a slider shows
const ROOM = 0.2; // of that, on either side

interface Slider {
  input: HTMLInputElement;
  told: HTMLElement;
  strip: HTMLCanvasElement;
  value: () => number;
  set: (value: number) => void;
  particles: () => Promise<Float32Array>;
  counted: number[];
}

export class DomainSliders {
  private names: string[] = [];
  private built = ""; // motions that there are sliders for
  private moved: number[] = []; // Å, of each domain
  private sliders: Slider[] = [];
  private pair: [number, number] = [0, 1];

  constructor(
    private page: Page,
    private job: Job,
    private connection: Connection,
    private commands: CommandList,
    private show: (latent: number[]) => void,
  ) {
    this.build([]);
    page.button("domains-reset").onclick = () => {
      this.moved.fill(0);
      this.tell();
      this.ask();
    };
  }

  /** Of a job that has changed: domains of the same name stay where they are. */
  renew(): void {
    if (this.built === JSON.stringify(this.job.motions)) return;
    const before = this.names.map((name, k) => [name, this.moved[k]] as const);
    this.page.element("motions").replaceChildren();
    this.page.element("domain-pair").replaceChildren();
    this.sliders = [];
    this.build(before);
    if (!this.page.element("domains-panel").hidden) void this.draw();
  }

  private build(before: (readonly [string, number])[]): void {
    const { motions } = this.job;
    const values = new Map(before);
    this.built = JSON.stringify(motions);
    this.names = motions.map(({ name }) => name);
    this.moved = this.names.map((name) => values.get(name) ?? 0);
    this.pair = [0, 1];
    this.page.element("domains-tab").hidden = !motions.length;
    this.names.forEach((name, k) =>
      this.add(
        name,
        name,
        () => this.moved[k],
        (to) => (this.moved[k] = to),
        () => this.coordinate(k),
      ),
    );
    if (motions.length > 1) this.addPair();
    this.tell();
  }

  get latent(): number[] {
    const latent = new Array<number>(this.job.latents).fill(0);
    this.job.motions.forEach((motion, k) =>
      motion.direction.forEach((d, i) => (latent[i] += d * this.moved[k])),
    );
    return latent;
  }

  /** Once they can be seen: how the particles spread under each slider. */
  async draw(): Promise<void> {
    for (const slider of this.sliders) {
      if (!slider.counted.length) await this.count(slider);
      drawStrip(this.page, slider.strip, slider.counted);
    }
  }

  private addPair(): void {
    const { motions } = this.job;
    const names = motions.map((motion, k) => [String(k), motion.name] as [string, string]);
    const row = this.page.element("domain-pair");
    row.hidden = motions.length < 3;
    const chosen = this.pair.map((k) => {
      const select = make("select", "", row);
      select.setAttribute("aria-label", "domain of the pair");
      options(select, names, String(k));
      return select;
    });
    for (const select of chosen)
      select.onchange = () => {
        this.pair = chosen.map((each) => Number(each.value)) as [number, number];
        this.sliders.slice(-2).forEach((slider) => (slider.counted = []));
        this.tell();
        void this.draw();
      };
    for (const [sign, id, title] of [
      [1, "both", "both"],
      [-1, "against", "against each other"],
    ] as const)
      this.add(
        id,
        title,
        () => (this.moved[this.pair[0]] + sign * this.moved[this.pair[1]]) / 2,
        (to) => this.movePair(sign, to),
        async () => {
          const [a, b] = await Promise.all(this.pair.map((k) => this.coordinate(k)));
          return a.map((value, i) => (value + sign * b[i]) / 2);
        },
      );
  }

  /** One of half the sum and half the difference goes to `to`; the other stays. */
  private movePair(sign: 1 | -1, to: number): void {
    const [a, b] = this.pair;
    if (a === b) return;
    const other = (this.moved[a] - sign * this.moved[b]) / 2;
    this.moved[a] = to + other;
    this.moved[b] = sign * (to - other);
  }

  private add(
    id: string,
    title: string,
    value: Slider["value"],
    set: Slider["set"],
    particles: Slider["particles"],
  ): void {
    const panel = this.page.element("motions");
    const label = make("label", title, panel);
    const way = make("span", "", panel);
    way.className = "way";
    const input = make("input", "", way);
    const strip = make("canvas", "", way);
    strip.className = "strip";
    strip.setAttribute("role", "img");
    strip.setAttribute("aria-label", `particles along ${title}`);
    const told = make("output", "", panel);
    label.htmlFor = input.id = `motion-${id}`;
    input.type = "range";
    input.step = "any";
    const motion = this.job.motions.find((each) => each.name === id);
    this.setRange(input, motion?.low ?? -1, motion?.high ?? 1);
    input.oninput = () => {
      set(input.valueAsNumber);
      this.tell();
      this.ask();
    };
    input.onchange = () => this.tellCommands();
    this.sliders.push({ input, told, strip, value, set, particles, counted: [] });
  }

  private setRange(input: HTMLInputElement, low: number, high: number): void {
    const [least, most] = [Math.min(0, low), Math.max(0, high)];
    const room = Math.max(1, ROOM * (most - least));
    input.min = String(least - room);
    input.max = String(most + room);
  }

  private async count(slider: Slider): Promise<void> {
    const values = await slider.particles();
    this.setRange(slider.input, ...range(values, 0, ENDS));
    const [low, high] = [Number(slider.input.min), Number(slider.input.max)];
    slider.counted = histogram(values, low, high, BINS);
    slider.input.value = String(slider.value());
  }

  private coordinate(k: number): Promise<Float32Array> {
    return this.connection.column(`coordinate_${this.job.motions[k].name}`);
  }

  private tell(): void {
    for (const { input, told, value } of this.sliders) {
      input.value = String(value());
      told.textContent = `${short(value())} Å`;
    }
  }

  private ask(): void {
    this.show(this.latent);
  }

  private tellCommands(): void {
    if (this.job.training) return;
    const folder = quoted(this.job.folder);
    const latent = latentWord(this.latent);
    const rest = latentWord(this.latent.map(() => 0));
    this.commands.put(
      "domains drawn",
      `cryomix trajectory ${folder} straight ${rest} ${latent} -o domains && cryomix draw ${folder} domains -o domains_drawn`,
      "a path from the neutral structure to this state, and its pictures",
    );
    this.commands.put(
      "domains decoded",
      `cryomix decode ${folder} ${latent} -o domains_state`,
      "the model at these sliders",
    );
  }
}
