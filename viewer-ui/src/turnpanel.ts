/** Below the molecule: its domains, how each is seen, and how it turns, in numbers. */

import { Axis } from "./axismarks";
import { Rgb, hexColor } from "./colors";
import { make } from "./dom";
import { Domain, Seen, WHOLE } from "./domains";
import type { Explorer } from "./explorer";
import { Part, Turn, Vector } from "./rigid";

const LEAST = 1; // degrees; less is no rotation to speak of
const SURE = 2; // standard errors
const RIGID = 0.9; // of the overlap of densities: above it, a part moves as one body
const HEADS: [string, string][] = [
  ["turns by, °", "± one standard error"],
  ["about the axis", "unit vector; the rotation about it is right-handed"],
  ["through, Å", "the point of the axis nearest to the rest of the molecule, from the box centre"],
  ["along it, Å", "shift along the axis, ± one standard error"],
  ["travels, Å", "of the centre of mass"],
  ["r.m.s., Å", "displacement of its Gaussians"],
];

interface Row {
  domain: Domain | null; // null: the whole molecule
  part: Part;
  cells: HTMLElement[];
  along: HTMLButtonElement;
  turn: Turn | null;
}

/** Density was compared between two latents. */
interface Measured {
  key: string;
  turns: Turn[];
}

export class TurnPanel {
  private rows: Row[] = [];
  private measured: Measured | null = null;

  constructor(private explorer: Explorer) {
    const { page } = explorer;
    const button = page.button("turns-button"),
      panel = page.element("turns");
    button.onclick = () => {
      panel.hidden = !panel.hidden;
      button.setAttribute("aria-expanded", String(!panel.hidden));
      this.refresh();
    };
    this.renew();
    page.input("axes").onchange = () => this.refresh();
    page.button("measure").onclick = () => void this.measure();
    page.button("copy-turns").onclick = () => void this.copy();
  }

  /** After a change of domains. */
  renew(): void {
    const { page, view } = this.explorer;
    const isDivided = view.domains.list.length > 0;
    page.button("turns-button").textContent = isDivided ? "Domains" : "Numbers";
    const tint = page.select("tint");
    tint.options[3].hidden = !isDivided;
    if (!isDivided && tint.value === "domain") {
      tint.value = "displacement";
      tint.dispatchEvent(new Event("change"));
    }
    this.rows = [];
    this.measured = null;
    page.element("turns-table").replaceChildren();
    this.fillTable();
  }

  /** After a change of model, reference or domain held still. */
  refresh(): void {
    const { page, view } = this.explorer,
      model = view.placed;
    const isOpen = !page.element("turns").hidden,
      isDrawn = page.input("axes").checked;
    if (!model || !(isOpen || isDrawn)) {
      if (view.axes.length) view.showAxes([]);
      return;
    }
    const reference = view.compared;
    if (this.measured && this.measured.key !== this.key) this.measured = null;
    this.rows.forEach((row, k) => {
      row.turn = this.measured ? this.measured.turns[k] : row.part.turn(reference, model);
      const square = row.part.rootMeanSquare(reference, model);
      told(row.turn, square).forEach((text, c) => (row.cells[c].textContent = text));
      row.along.disabled = !isSure(row.turn);
    });
    page.element("turns-of").textContent = this.caption();
    const axes = isDrawn ? this.rows.flatMap((row) => this.axisOf(row)) : [];
    if (axes.length || view.axes.length) view.showAxes(axes);
  }

  /** What the numbers belong to. */
  private get key(): string {
    const { motion, view } = this.explorer;
    return JSON.stringify([this.from, Array.from(motion.current?.latent ?? []), view.fixedName]);
  }

  private get from(): number[] {
    const { job, motion, view } = this.explorer;
    const a = view.reference ? motion.pins.a : null;
    return a ? Array.from(a.answer.latent) : new Array(job.latents).fill(0);
  }

  private caption(): string {
    const { view, referenceName } = this.explorer;
    const held = view.fixedName === null ? "" : `, ${view.fixedName} held still`;
    const how = this.measured
      ? "by the overlap of densities, as in the report" +
        (this.measured.turns.every(isRigid) ? "" : "; * is not one rigid body")
      : "by the centres of Gaussians";
    return `${referenceName} to the model here${held}: ${how}`;
  }

  private axisOf({ domain, turn }: Row): Axis[] {
    const { page, view } = this.explorer;
    const isAlone = !view.domains.list.length;
    if (!turn || !isSure(turn) || domain?.seen === "hidden" || !(domain || isAlone)) return [];
    const color = domain?.color ?? hexColor(page.ink("--molecule"));
    const name = domain?.name ?? WHOLE;
    return [{ name, hinge: turn.hinge, direction: turn.axis, color }];
  }

  private async measure(): Promise<void> {
    const { page, connection, view, motion } = this.explorer;
    const key = this.key,
      button = page.button("measure");
    button.disabled = true;
    page.element("turns-of").textContent = "comparing densities …";
    const answer = await connection.act({
      do: "measure",
      from: this.from,
      to: Array.from(motion.current?.latent ?? []),
      fixed: view.domains.numberOfFixed,
    });
    button.disabled = false;
    if (answer.error) this.explorer.say(answer.error, true);
    else this.measured = { key, turns: (answer.turns as Told[]).map(readTurn) };
    this.refresh();
  }

  private async copy(): Promise<void> {
    const heads = ["", ...HEADS.map(([title]) => title)];
    const lines = this.rows.map(({ domain, cells }) =>
      [domain?.name ?? WHOLE, ...cells.map((cell) => cell.textContent)].join("\t"),
    );
    await navigator.clipboard.writeText(
      [this.caption(), heads.join("\t"), ...lines, ""].join("\n"),
    );
    this.explorer.say("the table is copied");
  }

  private fillTable(): void {
    const { page, view } = this.explorer,
      { list, whole } = view.domains;
    const table = page.element("turns-table"),
      head = make("tr", "", table);
    for (const title of list.length ? ["", "seen", "still"] : [""]) make("th", title, head);
    for (const [title, note] of HEADS) make("th", title, head).title = note;
    make("th", "", head);
    for (const domain of [...list, null]) {
      const line = make("tr", "", table),
        name = make("th", "", line);
      if (domain) mark(name, domain.color);
      name.append(domain?.name ?? WHOLE);
      if (domain) this.fillSeen(domain, line);
      else if (list.length) make("td", "", line).colSpan = 2;
      const cells = HEADS.map(() => make("td", "", line));
      const along = make("button", "⊙", make("td", "", line));
      along.title = "look along the axis";
      along.setAttribute("aria-label", `look along the axis of ${domain?.name ?? WHOLE}`);
      const part = domain?.part ?? whole;
      const row: Row = { domain, part, cells, along, turn: null };
      along.onclick = () => {
        if (row.turn) view.orbit.look(row.turn.axis, view.orbit.upright(row.turn.axis));
      };
      this.rows.push(row);
    }
  }

  private fillSeen(domain: Domain, line: HTMLElement): void {
    const { view } = this.explorer;
    const seen = make("select", "", make("td", "", line));
    for (const state of ["shown", "faded", "hidden"]) seen.append(new Option(state));
    seen.value = domain.seen;
    seen.setAttribute("aria-label", `how ${domain.name} is seen`);
    seen.onchange = () => {
      domain.seen = seen.value as Seen;
      view.refresh();
    };
    const still = make("input", "", make("td", "", line));
    still.type = "checkbox";
    still.checked = view.domains.fixed === domain;
    still.className = "still";
    still.title = "the model is laid upon what it is compared with by this domain";
    still.setAttribute("aria-label", `hold ${domain.name} still`);
    still.onchange = () => {
      const others = line.parentElement!.querySelectorAll<HTMLInputElement>(".still");
      for (const other of others) if (other !== still) other.checked = false;
      view.domains.fixed = still.checked ? domain : null;
      view.refresh();
    };
  }
}

/** As the server tells a turn. */
interface Told {
  angle_deg: number;
  angle_error_deg: number;
  axis: Vector;
  axis_error_deg: number;
  hinge: Vector;
  shift: number;
  shift_error: number;
  travel: number;
  explained: number;
}

function readTurn(told: Told): Turn {
  return {
    ...told,
    angle: told.angle_deg,
    angleError: told.angle_error_deg,
    axisError: told.axis_error_deg,
    shiftError: told.shift_error,
  };
}

function mark(parent: HTMLElement, color: Rgb | null): void {
  const dot = make("i", "", parent);
  dot.style.background = color ? `rgb(${color.join(",")})` : "var(--molecule)";
}

/** As in the report: where it is not sure that a part turns, its axis means nothing. */
function isSure(turn: Turn | null): boolean {
  return turn !== null && turn.angle >= LEAST && !(turn.angle < SURE * turn.angleError);
}

function isRigid(turn: Turn | null): boolean {
  return !(turn?.explained! < RIGID);
}

function told(turn: Turn | null, square: number): string[] {
  const error = (value: number) => (Number.isFinite(value) ? ` ± ${value.toFixed(1)}` : "");
  if (!turn) return ["–", "–", "–", "–", "–", square.toFixed(1)];
  const axis = isSure(turn) ? turn.axis.map((value) => value.toFixed(2)).join(" ") : "–";
  // Rounded first, so that there is no minus before 0.
  const hinge = isSure(turn) ? turn.hinge.map((value) => Math.round(value) || 0).join(" ") : "–";
  return [
    turn.angle.toFixed(1) + error(turn.angleError) + (isRigid(turn) ? "" : " *"),
    axis.replaceAll("-", "−"),
    hinge.replaceAll("-", "−"),
    isSure(turn) ? turn.shift.toFixed(1).replace("-", "−") + error(turn.shiftError) : "–",
    turn.travel.toFixed(1),
    square.toFixed(1),
  ];
}
