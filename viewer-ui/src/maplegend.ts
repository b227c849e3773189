/** What the colours of the map mean; particles are chosen by them. */

import { CATEGORIES, OTHERS, cyclic, density, gradient, sequential } from "./colors";
import { Page, make, short } from "./dom";
import { LatentMap } from "./latentmap";
import { ramp } from "./legend";
import { Shade, isGrouped } from "./mapdrawing";
import { Combine, Rule, between, combineOf, inGroup } from "./selection";

const HOW = "Shift adds, Alt takes away";

export class MapLegend {
  private shown: Shade | null = null;
  private counts = new Map<number, HTMLElement>(); // of the chosen ones, by group

  constructor(
    private page: Page,
    private map: LatentMap,
  ) {}

  /** As the map was just drawn; what is being typed or held stays. */
  update(): void {
    const { shade } = this.map;
    if (!shade) this.showDensity();
    else if (shade !== this.shown) this.show(shade);
    this.shown = shade;
    if (shade && isGrouped(shade)) this.count(shade);
  }

  private get legend(): HTMLElement {
    return this.page.element("legend");
  }

  private showDensity(): void {
    this.legend.replaceChildren();
    const { most } = this.map;
    const of = density(this.page.isDark());
    if (most > 1) ramp(this.legend, "particles per spot, logarithmic", of, "1", short(most));
  }

  private show(shade: Shade): void {
    this.legend.replaceChildren();
    this.counts.clear();
    if (isGrouped(shade)) this.showGroups(shade);
    else this.showRange(shade);
  }

  private showGroups(shade: Shade): void {
    if (shade.names.length) make("span", shade.info.title, this.legend);
    const swatches = make("span", "", this.legend);
    swatches.className = "swatches";
    for (let k = 1; k <= shade.high; k++) {
      const named = shade.names[k - 1];
      const known = shade.info.groups[k - 1] ?? `${shade.info.title} ${k}`;
      const name = shade.names.length ? (named ?? "others") : known;
      const entry = make("button", "", swatches);
      const color = shade.names.length && named === undefined ? OTHERS : CATEGORIES;
      const rgb = color === OTHERS ? OTHERS : CATEGORIES[(k - 1) % CATEGORIES.length];
      make("i", "", entry).style.background = `rgb(${rgb.join(",")})`;
      make("span", name.slice(name.lastIndexOf("/") + 1), entry);
      this.counts.set(k, make("small", "", entry));
      entry.title = `choose ${name}; ${HOW}`;
      entry.onclick = (event) => this.chooseGroup(shade, k, combineOf(event));
    }
  }

  private chooseGroup(shade: Shade, group: number, how: Combine): void {
    const name = shade.names[group - 1];
    const rule =
      shade.info.kind === "category" && !shade.info.groups.length
        ? { column: shade.info.name, groups: [group] }
        : numberRule(shade.info.name, name);
    this.map.selection.apply(inGroup(shade.values, group), how, rule);
  }

  /** How many of each group are chosen. */
  private count(shade: Shade): void {
    const { selection } = this.map;
    const chosen = selection.count ? countGroups(shade.values, selection.chosen, shade.high) : null;
    for (const [group, text] of this.counts)
      text.textContent = chosen ? chosen[group].toLocaleString("en") : "";
  }

  private showRange(shade: Shade): void {
    const { legend } = this;
    make("span", shade.info.title, legend);
    const bar = make("span", "", legend);
    bar.className = "ramp held";
    bar.style.background = gradient(shade.info.kind === "angle" ? cyclic : sequential);
    const [low, high] = ["smallest", "largest"].map((end, i) => {
      const handle = make("input", "", bar);
      handle.type = "range";
      handle.min = String(shade.low);
      handle.max = String(shade.high);
      handle.step = "any";
      handle.valueAsNumber = i ? shade.high : shade.low;
      handle.title = `${end} value to choose; ${HOW}`;
      handle.setAttribute("aria-label", `${shade.info.title}: ${end} value to choose`);
      return handle;
    });
    const fields = make("span", "", legend);
    fields.className = "ends";
    const [from, to] = [shade.low, shade.high].map((end, i) => {
      const field = make("input", "", fields);
      field.type = "number";
      field.step = "any";
      field.placeholder = short(end);
      field.setAttribute("aria-label", i ? "choose up to" : "choose from");
      return field;
    });
    const button = make("button", "Choose", fields);
    button.title = `choose from one value to the other; ${HOW}`;
    fields.insertBefore(button, to);
    const choose = (how: Combine) => this.chooseRange(shade, bound(from), bound(to), how);
    button.onclick = (event) => choose(combineOf(event));
    for (const field of [from, to])
      field.onkeydown = (event) => {
        if (event.key === "Enter") choose(combineOf(event));
      };
    wireHandles(low, high, from, to, choose);
  }

  private chooseRange(shade: Shade, low: number | null, high: number | null, how: Combine): void {
    const rule = { column: shade.info.name, low, high };
    const some = low !== null || high !== null;
    this.map.selection.apply(between(shade.values, low, high), how, some ? rule : null);
  }
}

function bound(field: HTMLInputElement): number | null {
  return Number.isNaN(field.valueAsNumber) ? null : field.valueAsNumber;
}

/** A handle at its end is no bound: a hundredth of the particles may lie beyond. */
function wireHandles(
  low: HTMLInputElement,
  high: HTMLInputElement,
  from: HTMLInputElement,
  to: HTMLInputElement,
  choose: (how: Combine) => void,
): void {
  let how: Combine = "replace";
  for (const [handle, field, isLow] of [
    [low, from, true],
    [high, to, false],
  ] as const) {
    const note = (event: PointerEvent | KeyboardEvent) => (how = combineOf(event));
    handle.onpointerdown = handle.onpointerup = handle.onkeydown = note;
    handle.oninput = () => {
      const [least, most] = [low.valueAsNumber, high.valueAsNumber];
      if (least > most) handle.valueAsNumber = isLow ? most : least;
      const end = Number(isLow ? handle.min : handle.max);
      const free = handle.valueAsNumber === end;
      field.value = free ? "" : String(Number(handle.valueAsNumber.toPrecision(4)));
    };
    handle.onchange = () => choose(how);
    field.oninput = () => (handle.value = field.value || (isLow ? handle.min : handle.max));
  }
}

/** Of a group whose name is a number, as of a class, a column has that number. */
function numberRule(column: string, name: string | undefined): Rule | null {
  const number = Number(name);
  return name && Number.isFinite(number) ? { column, low: number, high: number } : null;
}

export function countGroups(values: Float32Array, chosen: Uint8Array, groups: number): Uint32Array {
  const count = new Uint32Array(groups + 1);
  for (let i = 0; i < values.length; i++) count[values[i]] += chosen[i];
  return count;
}
