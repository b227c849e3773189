/** The map of particles: counted per spot and coloured, or single dots where there are few. */

import { CATEGORIES, Rgb, cyclic, density, ink, isDark, sequential } from "./colors";
import { ColumnInfo } from "./protocol";
import { Combine, Selection, insideOutline } from "./selection";

export type Tool = "drag" | "lasso" | "rectangle" | "pan";
export interface Shade { info: ColumnInfo; values: Float32Array; low: number; high: number }
export interface Mark { x: number; y: number; label: string }

const SINGLE = 12000; // at most so many dots are drawn one by one
const STEP = 0.02, LARGE_STEP = 0.1; // of the map's width, by arrow keys

export class LatentMap {
  tool: Tool = "drag";
  shade: Shade | null = null;
  marks: Mark[] = [];
  path: [number, number][] = [];
  cursor: [number, number] | null = null;
  most = 0; // particles in the fullest spot
  onCursor: (x: number, y: number) => void = () => {};
  onDraw: () => void = () => {};
  selection: Selection;
  x: Float32Array = new Float32Array(0);
  y: Float32Array = new Float32Array(0);
  private view = { x: 0, y: 0, width: 1, height: 1 }; // of the map, in its own units
  private context: CanvasRenderingContext2D;
  private over: CanvasRenderingContext2D;
  private outline: [number, number][] = [];
  private held: { x: number; y: number; pan: boolean; combine: Combine } | null = null;
  private scheduled = 0;

  constructor(private canvas: HTMLCanvasElement, private overlay: HTMLCanvasElement, particles: number) {
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
    this.x = x; this.y = y; this.cursor = null;
    this.fit();
  }

  /** All particles but stray ones, with a margin. */
  fit(): void {
    const [left, right] = range(this.x), [low, high] = range(this.y);
    this.view = { x: left, y: low, width: right - left, height: high - low };
    this.draw();
  }

  zoom(factor: number, px = 0.5, py = 0.5): void {
    const v = this.view;
    v.x += px * v.width * (1 - factor); v.y += (1 - py) * v.height * (1 - factor);
    v.width *= factor; v.height *= factor;
    this.draw();
  }

  toPixel(x: number, y: number): [number, number] {
    const { clientWidth: w, clientHeight: h } = this.canvas, v = this.view;
    return [((x - v.x) / v.width) * w, (1 - (y - v.y) / v.height) * h];
  }

  toPlace(px: number, py: number): [number, number] {
    const { clientWidth: w, clientHeight: h } = this.canvas, v = this.view;
    return [v.x + (px / w) * v.width, v.y + (1 - py / h) * v.height];
  }

  draw(): void {
    if (!this.scheduled) this.scheduled = requestAnimationFrame(() => { this.scheduled = 0; this.paint(); this.paintOver(); });
  }

  drawOver(): void { this.draw2 ||= requestAnimationFrame(() => { this.draw2 = 0; this.paintOver(); }); }
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
    const seen = this.visible();
    if (seen <= SINGLE) this.paintDots(ratio, seen);
    else this.paintDensity(ratio, seen);
    this.onDraw();
  }

  private visible(): number {
    const v = this.view, right = v.x + v.width, high = v.y + v.height, { x, y } = this;
    let seen = 0;
    for (let i = 0; i < x.length; i++) if (x[i] >= v.x && x[i] <= right && y[i] >= v.y && y[i] <= high) seen++;
    return seen;
  }

  private color(i: number): Rgb | null {
    const shade = this.shade;
    if (!shade) return density()(isDark() ? 0.62 : 0.55);
    const value = shade.values[i];
    if (!(value === value)) return null;
    if (shade.info.kind === "category") return CATEGORIES[(value - 1) % CATEGORIES.length];
    const t = (value - shade.low) / (shade.high - shade.low);
    return shade.info.kind === "angle" ? cyclic(t - Math.floor(t)) : sequential(t);
  }

  private paintDots(ratio: number, seen: number): void {
    const { context: c, x, y, selection } = this, any = selection.count > 0;
    const radius = Math.max(1.1, Math.min(3.5, 90 / Math.sqrt(seen + 1))) * ratio * Math.max(1, this.canvas.clientWidth / 650);
    this.most = 0;
    for (const pass of any ? [0, 1] : [0]) {
      c.globalAlpha = any ? (pass ? 0.95 : 0.16) : Math.max(0.45, Math.min(0.9, 1400 / (seen + 1)));
      for (let i = 0; i < x.length; i++) {
        if (any && selection.chosen[i] !== pass) continue;
        const [px, py] = this.toPixel(x[i], y[i]);
        if (!(px > -9 && py > -9 && px < 1e5 && py < 1e5)) continue;
        const rgb = this.color(i);
        c.fillStyle = rgb ? `rgb(${rgb[0] | 0},${rgb[1] | 0},${rgb[2] | 0})` : ink("--soft");
        c.beginPath(); c.arc(px * ratio, py * ratio, radius, 0, 7); c.fill();
      }
    }
    c.globalAlpha = 1;
  }

  /** Particles are counted in spots of about 1.5 points; colours of a spot are averaged. */
  private paintDensity(ratio: number, seen: number): void {
    const spot = Math.max(1, seen < 60000 ? 2 : 1.5) * Math.max(1, this.canvas.clientWidth / 900);
    const w = Math.ceil(this.canvas.clientWidth / spot), h = Math.ceil(this.canvas.clientHeight / spot);
    const count = new Float32Array(w * h), chosen = new Float32Array(w * h);
    const shade = this.shade, sum = shade ? new Float32Array(3 * w * h) : null, colored = shade ? new Float32Array(w * h) : null;
    const { x, y, selection } = this, v = this.view, sx = w / v.width, sy = h / v.height;
    for (let i = 0; i < x.length; i++) {
      const column = Math.floor((x[i] - v.x) * sx), row = h - 1 - Math.floor((y[i] - v.y) * sy);
      if (!(column >= 0 && column < w && row >= 0 && row < h)) continue;
      const at = row * w + column;
      count[at]++;
      chosen[at] += selection.chosen[i];
      if (sum && colored) {
        const rgb = this.color(i);
        if (rgb) { colored[at]++; sum[3 * at] += rgb[0]; sum[3 * at + 1] += rgb[1]; sum[3 * at + 2] += rgb[2]; }
      }
    }
    let most = 1;
    for (let i = 0; i < count.length; i++) if (count[i] > most) most = count[i];
    this.most = most;
    const image = new ImageData(w, h), data = image.data, of = density(), top = Math.log1p(most), any = selection.count > 0;
    const soft = isDark() ? 110 : 150, gray = [soft, soft, soft], accent = ink("--pick").split(/[ ,]+/).map(Number);
    for (let i = 0; i < count.length; i++) {
      if (!count[i]) continue;
      const t = Math.log1p(count[i]) / top;
      let rgb: ArrayLike<number> = of(t), alpha = 255;
      if (sum && colored) {
        const n = colored[i];
        rgb = n ? [sum[3 * i] / n, sum[3 * i + 1] / n, sum[3 * i + 2] / n] : gray;
        alpha = 90 + 165 * t;
      }
      if (any && !chosen[i]) { rgb = gray; alpha = 35 + 90 * t; }
      else if (any && !shade) { rgb = accent; alpha = 110 + 145 * t; }
      const pixel = 4 * i;
      data[pixel] = rgb[0]; data[pixel + 1] = rgb[1]; data[pixel + 2] = rgb[2]; data[pixel + 3] = alpha;
    }
    const small = new OffscreenCanvas(w, h);
    small.getContext("2d")!.putImageData(image, 0, 0);
    this.context.imageSmoothingEnabled = true;
    this.context.drawImage(small, 0, 0, w * spot * ratio, h * spot * ratio);
  }

  private paintOver(): void {
    const c = this.over, ratio = devicePixelRatio;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, this.overlay.width, this.overlay.height);
    const unit = Math.max(1, this.canvas.clientWidth / 700);
    const paper = ink("--card"), strong = ink("--ink"), accent = ink("--accent");
    const line = (points: [number, number][], closed: boolean) => {
      c.beginPath();
      points.forEach(([px, py], i) => (i ? c.lineTo(px, py) : c.moveTo(px, py)));
      if (closed) c.closePath();
      c.lineWidth = 3.5 * unit; c.strokeStyle = paper; c.stroke();
      c.lineWidth = 1.6 * unit; c.strokeStyle = strong; c.stroke();
    };
    if (this.path.length > 1) line(this.path.map(([x, y]) => this.toPixel(x, y)), false);
    if (this.outline.length > 1) {
      line(this.outline, true);
      c.fillStyle = accent; c.globalAlpha = 0.12; c.fill(); c.globalAlpha = 1;
    }
    if (this.cursor) {
      const [px, py] = this.toPixel(...this.cursor);
      for (const [width, color] of [[5, paper], [2.4, ink("--bad")]] as const) {
        c.lineWidth = width * unit; c.strokeStyle = color;
        c.beginPath(); c.arc(px, py, 7 * unit, 0, 7); c.stroke();
      }
    }
    c.font = `600 ${13 * unit}px system-ui, sans-serif`; c.textAlign = "center"; c.textBaseline = "middle";
    for (const mark of this.marks) {
      const [px, py] = this.toPixel(mark.x, mark.y);
      c.beginPath(); c.arc(px, py, 10 * unit, 0, 7);
      c.fillStyle = strong; c.fill(); c.lineWidth = 2 * unit; c.strokeStyle = paper; c.stroke();
      c.fillStyle = paper; c.fillText(mark.label, px, py + 0.5);
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
    const combine = event.shiftKey ? "add" : event.altKey ? "remove" : "replace";
    this.held = { x, y, pan: this.tool === "pan" || event.button > 0, combine };
    if (!this.held.pan && this.tool === "drag") this.moveCursor(...this.toPlace(x, y));
    if (!this.held.pan && this.tool !== "drag") this.outline = [[x, y]];
  }

  private move(event: PointerEvent): void {
    if (!this.held) return;
    const [x, y] = this.at(event);
    if (this.held.pan) {
      const { clientWidth: w, clientHeight: h } = this.canvas;
      this.view.x -= ((x - this.held.x) / w) * this.view.width;
      this.view.y += ((y - this.held.y) / h) * this.view.height;
      this.held.x = x; this.held.y = y;
      this.draw();
    } else if (this.tool === "drag") this.moveCursor(...this.toPlace(x, y));
    else {
      if (this.tool === "lasso") this.outline.push([x, y]);
      else this.outline = [[this.held.x, this.held.y], [x, this.held.y], [x, y], [this.held.x, y]];
      this.drawOver();
    }
  }

  private release(event: PointerEvent): void {
    const held = this.held;
    this.held = null;
    this.overlay.releasePointerCapture(event.pointerId);
    if (!held || held.pan || this.outline.length < 3) { this.outline = []; return this.drawOver(); }
    this.choose(this.outline.map(([px, py]) => this.toPlace(px, py)), held.combine);
    this.outline = [];
    this.drawOver();
  }

  /** Choose the particles inside an outline, given in units of the map. */
  choose(outline: [number, number][], how: Combine): void {
    this.selection.apply(insideOutline(this.x, this.y, outline), how);
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const [x, y] = this.at(event);
    this.zoom(Math.exp(event.deltaY * 0.0015), x / this.canvas.clientWidth, y / this.canvas.clientHeight);
  }

  private key(event: KeyboardEvent): void {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (way) {
      const v = this.view, step = event.shiftKey ? LARGE_STEP : STEP;
      const [x, y] = this.cursor ?? [v.x + v.width / 2, v.y + v.height / 2];
      this.moveCursor(x + way[0] * step * v.width, y + way[1] * step * v.height);
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
  const low = some[Math.floor(ends * (some.length - 1))], high = some[Math.ceil((1 - ends) * (some.length - 1))];
  const room = (high - low || Math.abs(low) || 1) * margin;
  return [low - room, high + room];
}
