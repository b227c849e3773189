/** The map of particles: counted per spot and coloured, or single dots where there are few. */

import { Page } from "./dom";
import { Drawing, Frame, SINGLE, Shade, countVisible, drawDots, drawSpots } from "./mapdrawing";
import { Combine, Selection, combineOf, insideOutline } from "./selection";

import { Place, ellipse, halfAxes, reduceLine } from "./sketch";

export type Tool = "drag" | "lasso" | "rectangle" | "circle" | "line" | "pan";
export interface Mark {
  x: number;
  y: number;
  label: string;
}

const STEP = 0.02; // of the map's width, by arrow keys
const LARGE_STEP = 0.1;
const CLICK = 5; // points of the screen: a shorter way is a click

export class LatentMap implements Drawing {
  tool: Tool = "drag";
  shade: Shade | null = null;
  marks: Mark[] = [];
  path: Place[] = [];
  ticks: Place[] = []; // points of the path
  cursor: [number, number] | null = null;
  most = 0; // particles in the fullest spot
  onCursor: (x: number, y: number) => void = () => {};
  onDraw: () => void = () => {};
  /** A circle or ellipse by its half axes; none where only its centre was given. */
  onCircle: (center: Place, half: Place | null) => void = () => {};
  onLine: (places: Place[], closed: boolean) => void = () => {};
  selection: Selection;
  x: Float32Array = new Float32Array(0);
  y: Float32Array = new Float32Array(0);
  frame: Frame = { x: 0, y: 0, width: 1, height: 1 };
  readonly context: CanvasRenderingContext2D;
  private over: CanvasRenderingContext2D;
  private outline: Place[] = [];
  private stops: Place[] = []; // of a line that is laid point by point, in units of the map
  private held: { x: number; y: number; pan: boolean; combine: Combine } | null = null;
  private scheduled = 0;
  private fitted = true; // nobody has zoomed since

  constructor(
    readonly page: Page,
    readonly canvas: HTMLCanvasElement,
    private overlay: HTMLCanvasElement,
    particles: number,
  ) {
    this.context = canvas.getContext("2d")!;
    this.over = overlay.getContext("2d")!;
    this.selection = new Selection(particles);
    new ResizeObserver(() => this.draw()).observe(canvas);
    overlay.addEventListener("pointerdown", (event) => this.press(event));
    overlay.addEventListener("pointermove", (event) => this.move(event));
    overlay.addEventListener("pointerup", (event) => this.release(event));
    overlay.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    overlay.addEventListener("keydown", (event) => this.key(event));
  }

  show(x: Float32Array, y: Float32Array): void {
    this.x = x;
    this.y = y;
    this.cursor = null;
    this.fit();
  }

  /** Other places of the same particles; what is in view stays, unless that was all. */
  replace(x: Float32Array, y: Float32Array): void {
    this.x = x;
    this.y = y;
    if (this.fitted) this.fit();
    else this.draw();
  }

  /** All particles but stray ones, with a margin. */
  fit(): void {
    const [left, right] = range(this.x),
      [low, high] = range(this.y);
    this.fitted = true;
    this.frame = { x: left, y: low, width: right - left, height: high - low };
    this.draw();
  }

  zoom(factor: number, px = 0.5, py = 0.5): void {
    const v = this.frame;
    this.fitted = false;
    v.x += px * v.width * (1 - factor);
    v.y += (1 - py) * v.height * (1 - factor);
    v.width *= factor;
    v.height *= factor;
    this.draw();
  }

  toPixel(x: number, y: number): [number, number] {
    const { clientWidth: w, clientHeight: h } = this.canvas,
      v = this.frame;
    return [((x - v.x) / v.width) * w, (1 - (y - v.y) / v.height) * h];
  }

  toPlace(px: number, py: number): [number, number] {
    const { clientWidth: w, clientHeight: h } = this.canvas,
      v = this.frame;
    return [v.x + (px / w) * v.width, v.y + (1 - py / h) * v.height];
  }

  draw(): void {
    if (!this.scheduled)
      this.scheduled = requestAnimationFrame(() => {
        this.scheduled = 0;
        this.paint();
        this.paintOver();
      });
  }

  drawOver(): void {
    this.draw2 ||= requestAnimationFrame(() => {
      this.draw2 = 0;
      this.paintOver();
    });
  }
  private draw2 = 0;

  moveCursor(x: number, y: number): void {
    this.cursor = [x, y];
    this.onCursor(x, y);
    this.drawOver();
  }

  private paint(): void {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (!w || !h) return;
    const ratio = devicePixelRatio;
    this.canvas.width = this.overlay.width = Math.round(w * ratio);
    this.canvas.height = this.overlay.height = Math.round(h * ratio);
    const seen = countVisible(this);
    this.most = 0;
    if (seen <= SINGLE) drawDots(this, ratio, seen);
    else this.most = drawSpots(this, ratio, seen);
    this.onDraw();
  }

  private paintOver(): void {
    const c = this.over,
      ratio = devicePixelRatio;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, this.overlay.width, this.overlay.height);
    const unit = Math.max(1, this.canvas.clientWidth / 700);
    const paper = this.page.ink("--card"),
      strong = this.page.ink("--ink"),
      accent = this.page.ink("--accent");
    const line = (points: [number, number][], closed: boolean) => {
      c.beginPath();
      points.forEach(([px, py], i) => (i ? c.lineTo(px, py) : c.moveTo(px, py)));
      if (closed) c.closePath();
      c.lineWidth = 3.5 * unit;
      c.strokeStyle = paper;
      c.stroke();
      c.lineWidth = 1.6 * unit;
      c.strokeStyle = strong;
      c.stroke();
    };
    if (this.path.length > 1)
      line(
        this.path.map(([x, y]) => this.toPixel(x, y)),
        false,
      );
    for (const [x, y] of [...this.ticks, ...this.stops]) {
      const [px, py] = this.toPixel(x, y);
      c.beginPath();
      c.arc(px, py, 3.4 * unit, 0, 7);
      c.fillStyle = strong;
      c.fill();
      c.lineWidth = 1.2 * unit;
      c.strokeStyle = paper;
      c.stroke();
    }
    if (this.tool === "line" && this.outline.length > 1) line(this.outline, false);
    else if (this.outline.length > 1) {
      line(this.outline, true);
      c.fillStyle = accent;
      c.globalAlpha = 0.12;
      c.fill();
      c.globalAlpha = 1;
    }
    if (this.cursor) {
      const [px, py] = this.toPixel(...this.cursor);
      for (const [width, color] of [
        [5, paper],
        [2.4, this.page.ink("--bad")],
      ] as const) {
        c.lineWidth = width * unit;
        c.strokeStyle = color;
        c.beginPath();
        c.arc(px, py, 7 * unit, 0, 7);
        c.stroke();
      }
    }
    c.font = `600 ${13 * unit}px system-ui, sans-serif`;
    c.textAlign = "center";
    c.textBaseline = "middle";
    for (const mark of this.marks) {
      const [px, py] = this.toPixel(mark.x, mark.y);
      c.beginPath();
      c.arc(px, py, 10 * unit, 0, 7);
      c.fillStyle = strong;
      c.fill();
      c.lineWidth = 2 * unit;
      c.strokeStyle = paper;
      c.stroke();
      c.fillStyle = paper;
      c.fillText(mark.label, px, py + 0.5);
    }
  }

  private at(event: MouseEvent): [number, number] {
    const box = this.overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private press(event: PointerEvent): void {
    this.overlay.focus();
    this.overlay.setPointerCapture(event.pointerId);
    const [x, y] = this.at(event);
    const pan = this.tool === "pan" || event.button > 0;
    this.held = { x, y, pan, combine: combineOf(event) };
    if (!this.held.pan && this.tool === "drag") this.moveCursor(...this.toPlace(x, y));
    if (!this.held.pan && this.tool !== "drag") this.outline = [[x, y]];
  }

  private move(event: PointerEvent): void {
    if (!this.held) return;
    const [x, y] = this.at(event);
    if (this.held.pan) {
      const { clientWidth: w, clientHeight: h } = this.canvas;
      this.fitted = false;
      this.frame.x -= ((x - this.held.x) / w) * this.frame.width;
      this.frame.y += ((y - this.held.y) / h) * this.frame.height;
      this.held.x = x;
      this.held.y = y;
      this.draw();
    } else if (this.tool === "drag") this.moveCursor(...this.toPlace(x, y));
    else {
      if (this.tool === "lasso" || this.tool === "line") this.outline.push([x, y]);
      else if (this.tool === "circle") {
        const [center, half] = this.circleTo(x, y, event.shiftKey);
        this.outline = ellipse(center, half, 72).map((place) => this.toPixel(...place));
      } else
        this.outline = [
          [this.held.x, this.held.y],
          [x, this.held.y],
          [x, y],
          [this.held.x, y],
        ];
      this.drawOver();
    }
  }

  private release(event: PointerEvent): void {
    const held = this.held;
    this.held = null;
    this.overlay.releasePointerCapture(event.pointerId);
    const outline = this.outline;
    if (held && !held.pan && (this.tool === "circle" || this.tool === "line")) {
      const [x, y] = this.at(event);
      this.outline = [];
      if (Math.hypot(x - held.x, y - held.y) < CLICK && outline.length < 4)
        this.addStop(this.toPlace(held.x, held.y));
      else if (this.tool === "circle") this.onCircle(...this.circleTo(x, y, event.shiftKey, held));
      else if (outline.length > 2) {
        this.stops = [];
        const { points, closed } = reduceLine(outline);
        this.onLine(
          points.map(([px, py]) => this.toPlace(px, py)),
          closed,
        );
      }
      return this.drawOver();
    }
    if (!held || held.pan || this.outline.length < 3) {
      this.outline = [];
      return this.drawOver();
    }
    this.choose(
      this.outline.map(([px, py]) => this.toPlace(px, py)),
      held.combine,
    );
    this.outline = [];
    this.drawOver();
  }

  /** A point of a line, or the centre of a circle that is as wide as the particles lie. */
  private addStop(place: Place): void {
    if (this.tool === "circle") return this.onCircle(place, null);
    this.stops.push(place);
    if (this.stops.length > 1) this.onLine(this.stops.slice(), false);
    this.drawOver();
  }

  forgetStops(): void {
    this.stops = [];
    this.drawOver();
  }

  private circleTo(x: number, y: number, free: boolean, held = this.held): [Place, Place] {
    const center = this.toPlace(held!.x, held!.y);
    return [center, halfAxes(center, this.toPlace(x, y), free)];
  }

  /** Choose the particles inside an outline, given in units of the map. */
  choose(outline: [number, number][], how: Combine): void {
    this.selection.apply(insideOutline(this.x, this.y, outline), how);
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const [x, y] = this.at(event);
    this.zoom(
      Math.exp(event.deltaY * 0.0015),
      x / this.canvas.clientWidth,
      y / this.canvas.clientHeight,
    );
  }

  private key(event: KeyboardEvent): void {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[
      event.key
    ];
    if (way) {
      const v = this.frame,
        step = event.shiftKey ? LARGE_STEP : STEP;
      const [x, y] = this.cursor ?? [v.x + v.width / 2, v.y + v.height / 2];
      this.moveCursor(x + way[0] * step * v.width, y + way[1] * step * v.height);
    } else if (event.key === "Enter" && this.cursor) {
      if (this.tool !== "circle" && this.tool !== "line") return;
      this.addStop(this.cursor);
    } else if (event.key === "+" || event.key === "=") this.zoom(0.8);
    else if (event.key === "-") this.zoom(1.25);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }
}

/** From the thousandth to the last but one, with a margin: stray particles do not set the scale. */
export function range(values: Float32Array, margin = 0.06, ends = 0.001): [number, number] {
  const every = Math.max(1, Math.floor(values.length / 20000));
  const some = values.filter((value, i) => i % every === 0 && Number.isFinite(value)).sort();
  if (!some.length) return [0, 1];
  const low = some[Math.floor(ends * (some.length - 1))],
    high = some[Math.ceil((1 - ends) * (some.length - 1))];
  const room = (high - low || Math.abs(low) || 1) * margin;
  return [low - room, high + room];
}
