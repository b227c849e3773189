/** The molecule: one model, another beside or under it, a map over it, and arrows. */

import { AmbientLight, Box3, DirectionalLight, Scene, Vector3, WebGLRenderer } from "three";
import { Axis, AxisMarks } from "./axismarks";
import { Ball, distance, placeOf } from "./balls";
import { Rgb, diverging, hexColor, motion } from "./colors";
import { Page } from "./dom";
import { Domains } from "./domains";
import { Extent, Orbit } from "./orbit";
import { Pace } from "./pace";
import { DensityMap, Model } from "./protocol";
import { Arrows, Quiver } from "./quiver";
import { Slab } from "./slab";
import { SurfaceFinder } from "./surfaces";

export type Look = "spheres" | "surface" | "none";
export type Tint = "plain" | "displacement" | "amplitude" | "domain";
export type Beside = "off" | "under" | "beside";
const GRID = 64; // voxels along an edge, of the density of a model
const COARSE = 0.5; // of the screen's resolution, while a slow machine draws what moves
const FADED = 0.2;
const BESIDE_ARROWS = 0.28; // size of the spheres, so that arrows are seen between them

export class ModelView {
  look: Look = "spheres";
  tint: Tint = "displacement";
  beside: Beside = "off";
  level = 0.3; // of the largest density
  reference: Model | null = null;
  placed: Model | null = null; // the model where it is drawn: with one domain held still, perhaps
  axes: Axis[] = [];
  arrows: Arrows | null = null;
  most = 0; // end of the colour scale: Å, or share of the amplitude
  onDraw: () => void = () => {};
  onColors: () => void = () => {};
  model: Model | null = null;
  density: DensityMap | null = null;
  densityLevel = 0;
  private mapBall = new Ball(0, 0.4);
  private renderer: WebGLRenderer;
  private scene = new Scene();
  private side = new Scene();
  private extent: Extent = { middle: new Vector3(), reach: 10 };
  readonly orbit: Orbit;
  readonly slab = new Slab(this.extent);
  private moving: Ball;
  private movingFaded: Ball;
  private still: Ball;
  private stillFaded: Ball;
  private ghost: Ball;
  readonly quiver = new Quiver();
  readonly axisMarks = new AxisMarks();
  private lights: DirectionalLight[] = [];
  private pace = new Pace(() => this.draw());
  private surfaces: SurfaceFinder;
  private frame = 0;
  private solid = 1;
  private peak = 1;
  private top = 0; // largest displacement seen so far, so that colours do not jump about

  constructor(
    readonly page: Page,
    private canvas: HTMLCanvasElement,
    private neutral: Model,
    public domains: Domains,
  ) {
    const count = neutral.amplitude.length;
    this.renderer = new WebGLRenderer({ canvas, antialias: devicePixelRatio < 1.5, alpha: true });
    this.renderer.localClippingEnabled = true;
    this.moving = new Ball(count, 1);
    this.movingFaded = new Ball(count, FADED);
    this.still = new Ball(count, 1);
    this.stillFaded = new Ball(count, FADED);
    this.ghost = new Ball(count, FADED);
    for (const ball of [this.moving, this.movingFaded, this.ghost])
      this.scene.add(ball.points, ball.mesh);
    this.scene.add(this.mapBall.mesh, this.quiver, this.axisMarks);
    for (const ball of [this.still, this.stillFaded]) this.side.add(ball.points, ball.mesh);
    this.measure();
    for (const scene of [this.scene, this.side]) {
      const key = new DirectionalLight(0xffffff, 2.2);
      this.lights.push(key);
      scene.add(new AmbientLight(0xffffff, 1.1), key, key.target);
    }
    this.surfaces = new SurfaceFinder(page.host.startWorker, () => this.draw());
    this.orbit = new Orbit(canvas, this.extent, () => this.draw());
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.orbit.key(event.key)) event.preventDefault();
    });
    this.show(neutral);
  }

  /** Those of a job that has changed; the camera stays. */
  replace(neutral: Model, domains: Domains): void {
    this.neutral = neutral;
    this.domains = domains;
    this.top = 0;
    this.measure();
    this.show(this.model ?? neutral);
  }

  private measure(): void {
    const { neutral, extent } = this;
    const count = neutral.amplitude.length;
    const box = new Box3();
    for (let i = 0; i < count; i++) box.expandByPoint(placeOf(neutral, i));
    box.getCenter(extent.middle);
    extent.reach = 10;
    for (let i = 0; i < count; i++) {
      const away = placeOf(neutral, i).distanceTo(extent.middle) + 2 * neutral.width[i];
      extent.reach = Math.max(extent.reach, away);
    }
    const sorted = neutral.amplitude.slice().sort();
    this.solid = sorted[Math.floor(0.8 * (sorted.length - 1))] || 1;
    this.peak = this.densityPeak(neutral);
  }

  /** Browsers keep few contexts. */
  close(): void {
    this.surfaces.close();
    this.orbit.close();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }

  /** Drawn with the next frame, however many models come before it. */
  show(model: Model): void {
    this.model = model;
    this.due ||= requestAnimationFrame(() => {
      this.due = 0;
      this.refresh();
    });
  }
  private due = 0;

  /** What models are compared with. */
  get compared(): Model {
    return this.reference ?? this.neutral;
  }

  /** Of the domain that is held still. */
  get fixedName(): string | null {
    return this.domains.fixed?.name ?? null;
  }

  /** After a change of model, look, colours or reference. */
  refresh(): void {
    const count = this.neutral.amplitude.length;
    const reference = this.compared;
    // Of a job that has changed, some models come before others.
    if (this.model?.amplitude.length !== count || reference.amplitude.length !== count) return;
    const plain = hexColor(this.page.ink("--molecule"));
    const { domains } = this;
    const model = (this.placed = domains.place(this.model, reference));
    const colors = this.colors(model, reference);
    const gray = new Float32Array(3 * this.neutral.amplitude.length);
    for (let i = 0; i < gray.length; i++) gray[i] = plain[i % 3] / 255;
    const isFaded = domains.has("faded");
    this.fill(this.moving, domains.only(model, "shown"), colors, true);
    this.fill(this.movingFaded, domains.only(model, "faded"), colors, isFaded);
    const shown = domains.only(reference, "shown"),
      split = this.beside === "beside";
    this.fill(this.still, shown, gray, split);
    this.fill(this.stillFaded, domains.only(reference, "faded"), gray, split && isFaded);
    this.fill(this.ghost, shown, gray, this.beside === "under");
    const { arrows } = this;
    const held = arrows && { ...arrows, to: domains.place(arrows.to, arrows.from) };
    this.quiver.set(held, this.extent.reach, (i) => domains.seen(i) !== "hidden");
    this.onColors();
    this.draw();
  }

  /** The surface of a rebuilt map, over the model; none without one. */
  showMap(density: DensityMap | null, level: number): void {
    this.density = density;
    this.densityLevel = level;
    this.surfaces.forget(this.mapBall);
    this.mapBall.mesh.visible = density !== null;
    if (!density) return this.draw();
    const { size, step, value } = density,
      edge = -(size >> 1) * step;
    const plain = hexColor(this.page.ink("--accent")).map((part) => (part / 255) ** 2.2) as Rgb;
    this.surfaces.order(this.mapBall, () => ({
      value,
      plain,
      level,
      size,
      low: [edge, edge, edge],
      step,
    }));
  }

  private colors(model: Model, reference: Model): Float32Array {
    const count = model.amplitude.length,
      colors = new Float32Array(3 * count);
    const change = new Float32Array(count);
    let most = 0;
    for (let i = 0; i < count; i++) {
      if (this.tint === "displacement") change[i] = distance(model, reference, i);
      else if (this.tint === "amplitude")
        change[i] = (model.amplitude[i] - reference.amplitude[i]) / this.solid;
      most = Math.max(most, Math.abs(change[i]));
    }
    if (this.tint === "displacement") {
      this.top = Math.max(this.top, most, 1);
      most = this.top;
    } else most = 1;
    this.most = most;
    const plain = hexColor(this.page.ink("--molecule"));
    for (let i = 0; i < count; i++) {
      const rgb: Rgb =
        this.tint === "plain"
          ? plain
          : this.tint === "displacement"
            ? motion(change[i] / most)
            : this.tint === "domain"
              ? (this.domains.color(i) ?? plain)
              : diverging(0.5 + (0.5 * change[i]) / most);
      for (let c = 0; c < 3; c++) colors[3 * i + c] = rgb[c] / 255;
    }
    return colors;
  }

  private fill(ball: Ball, model: Model, colors: Float32Array, shown: boolean): void {
    ball.points.visible = shown && this.look === "spheres";
    ball.mesh.visible = shown && this.look === "surface";
    if (!shown) return;
    if (this.look === "surface") this.orderSurface(ball, model, colors);
    else ball.setSpheres(model, colors, this.solid, this.arrows ? BESIDE_ARROWS : 1.05);
  }

  private orderSurface(ball: Ball, model: Model, color: Float32Array): void {
    const linear = color.map((value) => value ** 2.2); // as lights add up; the screen's are not
    const half = 1.15 * this.extent.reach,
      step = (2 * half) / (GRID - 1),
      low = this.extent.middle.clone().subScalar(half).toArray();
    this.surfaces.order(ball, () => ({
      ...model,
      color: linear,
      level: this.level * this.peak,
      size: GRID,
      low,
      step,
    }));
  }

  /** Of the neutral model, near the centre of its heaviest Gaussians: the unit of the level. */
  private densityPeak(model: Model): number {
    const order = Array.from(model.amplitude.keys()).sort(
      (a, b) => model.amplitude[b] - model.amplitude[a],
    );
    let peak = 0;
    for (const i of order.slice(0, 60)) {
      let sum = 0;
      for (let j = 0; j < order.length; j++) {
        let d = 0;
        for (let a = 0; a < 3; a++) d += (model.center[3 * i + a] - model.center[3 * j + a]) ** 2;
        sum += model.amplitude[j] * Math.exp((-0.5 * d) / model.width[j] ** 2);
      }
      peak = Math.max(peak, sum);
    }
    return peak || 1;
  }

  /** Axes that are drawn through the model. */
  showAxes(axes: Axis[]): void {
    this.axes = axes;
    this.axisMarks.set(axes, this.extent.reach);
    this.draw();
  }

  draw(): void {
    this.frame ||= requestAnimationFrame((time) => {
      this.frame = 0;
      this.pace.tick(time);
      this.paint();
    });
  }

  private paint(): void {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (!w || !h) return;
    const sharp = Math.min(devicePixelRatio, 2);
    this.render(w, h, this.pace.isCoarse() ? COARSE * sharp : sharp);
    this.onDraw();
  }

  /** The canvas with `ratio` as many pixels as the page gives it; to be read before the next frame. */
  enlarged(ratio: number): HTMLCanvasElement {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    this.render(w, h, ratio);
    this.draw();
    return this.canvas;
  }

  private render(w: number, h: number, ratio: number): void {
    const { renderer, orbit, slab, extent } = this;
    renderer.setPixelRatio(ratio);
    renderer.setSize(w, h, false);
    const split = this.beside === "beside",
      width = split ? w / 2 : w;
    orbit.fit(width / h);
    slab.update(orbit.direction);
    const far = orbit.camera.position.distanceTo(extent.middle);
    for (const light of this.lights)
      light.position.set(0.35, 0.55, 0.85).applyQuaternion(orbit.camera.quaternion);
    const haze = new Vector3(...hexColor(this.page.ink("--card"))).divideScalar(255);
    for (const ball of [this.moving, this.movingFaded, this.still, this.stillFaded, this.ghost]) {
      const { uniforms } = ball.points.material;
      uniforms.height.value = h * ratio;
      uniforms.haze.value = haze;
      uniforms.depths.value.set(far - 0.4 * extent.reach, far + 1.3 * extent.reach);
      ball.cut(slab, orbit.camera.matrixWorldInverse);
    }
    this.mapBall.cut(slab, orbit.camera.matrixWorldInverse);
    this.quiver.cut(slab);
    renderer.autoClear = false;
    renderer.setScissorTest(false);
    renderer.setViewport(0, 0, w, h);
    renderer.clear();
    renderer.setScissorTest(split);
    if (split) {
      renderer.setViewport(0, 0, width, h);
      renderer.setScissor(0, 0, width, h);
      renderer.render(this.side, orbit.camera);
      renderer.setViewport(width, 0, width, h);
      renderer.setScissor(width, 0, width, h);
    }
    renderer.render(this.scene, orbit.camera);
  }
}
