/** The molecule: one model, another beside or under it, a map over it, and arrows. */

import {
  AmbientLight,
  DirectionalLight,
  PerspectiveCamera,
  Quaternion,
  Scene,
  Vector3,
  WebGLRenderer,
} from "three";
import { TrackballControls } from "three/addons/controls/TrackballControls.js";
import { Ball, distance, placeOf } from "./balls";
import { Rgb, diverging, hexColor, motion } from "./colors";
import { Page } from "./dom";
import { Pace } from "./pace";
import { DensityMap, Model } from "./protocol";
import { Arrows, Quiver } from "./quiver";
import { SurfaceFinder } from "./surfaces";

export type Look = "spheres" | "surface" | "none";
export type Tint = "plain" | "displacement" | "amplitude";
export type Beside = "off" | "under" | "beside";
const GRID = 64; // voxels along an edge, of the density of a model
const COARSE = 0.5; // of the screen's resolution, while a slow machine draws what moves
const BESIDE_ARROWS = 0.28; // size of the spheres, so that arrows are seen between them

export class ModelView {
  look: Look = "spheres";
  tint: Tint = "displacement";
  beside: Beside = "off";
  level = 0.3; // of the largest density
  reference: Model | null = null;
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
  private camera = new PerspectiveCamera(26, 1, 1, 100);
  private controls: TrackballControls;
  private moving: Ball;
  private still: Ball;
  private ghost: Ball;
  readonly quiver = new Quiver();
  private lights: DirectionalLight[] = [];
  private pace = new Pace(() => this.draw());
  private surfaces: SurfaceFinder;
  private frame = 0;
  private middle = new Vector3();
  private reach = 10;
  private solid = 1;
  private peak = 1;
  private top = 0; // largest displacement seen so far, so that colours do not jump about

  constructor(
    private page: Page,
    private canvas: HTMLCanvasElement,
    private neutral: Model,
  ) {
    const count = neutral.amplitude.length;
    this.renderer = new WebGLRenderer({ canvas, antialias: devicePixelRatio < 1.5, alpha: true });
    this.moving = new Ball(count, 1);
    this.still = new Ball(count, 1);
    this.ghost = new Ball(count, 0.2);
    this.scene.add(
      this.moving.points,
      this.moving.mesh,
      this.ghost.points,
      this.ghost.mesh,
      this.mapBall.mesh,
      this.quiver,
    );
    this.side.add(this.still.points, this.still.mesh);
    this.measure();
    for (const scene of [this.scene, this.side]) {
      const key = new DirectionalLight(0xffffff, 2.2);
      this.lights.push(key);
      scene.add(new AmbientLight(0xffffff, 1.1), key, key.target);
    }
    this.surfaces = new SurfaceFinder(page.host.startWorker, () => this.draw());
    this.controls = new TrackballControls(this.camera, canvas);
    Object.assign(this.controls, {
      rotateSpeed: 2.6,
      staticMoving: true,
      noPan: false,
      keys: ["", "", ""], // it would hear them wherever they are typed
    });
    this.controls.addEventListener("change", () => this.draw());
    this.resetCamera();
    new ResizeObserver(() => {
      this.controls.handleResize();
      this.draw();
    }).observe(canvas);
    canvas.addEventListener("pointermove", () => this.spin());
    canvas.addEventListener("wheel", () => this.spin(), { passive: true });
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.show(neutral);
  }

  /** That of a job that has changed; the camera stays. */
  replaceNeutral(neutral: Model): void {
    this.neutral = neutral;
    this.top = 0;
    this.measure();
    this.show(this.model ?? neutral);
  }

  private measure(): void {
    const { neutral, middle } = this;
    const count = neutral.amplitude.length;
    middle.set(0, 0, 0);
    for (let i = 0; i < count; i++) middle.add(placeOf(neutral, i).divideScalar(count));
    this.reach = 10;
    for (let i = 0; i < count; i++) {
      const away = placeOf(neutral, i).distanceTo(middle) + 1.5 * neutral.width[i];
      this.reach = Math.max(this.reach, away);
    }
    const sorted = neutral.amplitude.slice().sort();
    this.solid = sorted[Math.floor(0.8 * (sorted.length - 1))] || 1;
    this.peak = this.densityPeak(neutral);
  }

  /** Browsers keep few contexts. */
  close(): void {
    this.surfaces.close();
    this.controls.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }

  resetCamera(): void {
    const away = (this.reach * 1.06) / Math.sin((this.camera.fov * Math.PI) / 360);
    this.controls.target.copy(this.middle);
    this.camera.position.copy(this.middle).setZ(this.middle.z + away);
    this.camera.up.set(0, 1, 0);
    this.camera.near = Math.max(1, away - 3 * this.reach);
    this.camera.far = away + 6 * this.reach;
    this.camera.lookAt(this.middle);
    this.controls.update();
    this.draw();
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

  /** After a change of model, look, colours or reference. */
  refresh(): void {
    const count = this.neutral.amplitude.length;
    const reference = this.reference ?? this.neutral;
    // Of a job that has changed, some models come before others.
    if (this.model?.amplitude.length !== count || reference.amplitude.length !== count) return;
    const plain = hexColor(this.page.ink("--molecule"));
    const colors = this.colors(this.model, reference);
    this.fill(this.moving, this.model, colors, true);
    const gray = new Float32Array(3 * this.neutral.amplitude.length);
    for (let i = 0; i < gray.length; i++) gray[i] = plain[i % 3] / 255;
    if (this.beside === "beside") this.fill(this.still, reference, gray, true);
    this.fill(this.ghost, reference, gray, this.beside === "under");
    this.quiver.set(this.arrows, this.reach);
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
    const half = 1.15 * this.reach,
      step = (2 * half) / (GRID - 1),
      low = this.middle.clone().subScalar(half).toArray();
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

  private spin(): void {
    this.controls.update();
  }

  private key(event: KeyboardEvent): void {
    const turn = { ArrowLeft: [0, 1], ArrowRight: [0, -1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[
      event.key
    ];
    if (turn) {
      const away = this.camera.position.clone().sub(this.middle);
      const axis = turn[0]
        ? new Vector3().crossVectors(this.camera.up, away).normalize()
        : this.camera.up.clone().normalize();
      const spin = new Quaternion().setFromAxisAngle(axis, -0.1 * (turn[0] + turn[1]));
      this.camera.position.copy(away.applyQuaternion(spin).add(this.middle));
      this.camera.up.applyQuaternion(spin);
      this.camera.lookAt(this.middle);
    } else if (event.key === "+" || event.key === "=") this.camera.position.lerp(this.middle, 0.1);
    else if (event.key === "-") this.camera.position.lerp(this.middle, -0.1);
    else if (event.key === "0") this.resetCamera();
    else return;
    event.preventDefault();
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
    this.renderer.setPixelRatio(this.pace.isCoarse() ? COARSE * sharp : sharp);
    this.renderer.setSize(w, h, false);
    const split = this.beside === "beside",
      width = split ? w / 2 : w,
      far = this.camera.position.distanceTo(this.middle);
    this.camera.aspect = width / h;
    // A narrow view must hold the whole molecule too.
    this.camera.zoom = Math.min(1, this.camera.aspect);
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
    for (const light of this.lights)
      light.position.set(0.35, 0.55, 0.85).applyQuaternion(this.camera.quaternion);
    const haze = new Vector3(...hexColor(this.page.ink("--card"))).divideScalar(255);
    for (const ball of [this.moving, this.still, this.ghost]) {
      const { uniforms } = ball.points.material;
      uniforms.height.value = h * this.renderer.getPixelRatio();
      uniforms.haze.value = haze;
      uniforms.depths.value.set(far - 0.4 * this.reach, far + 1.3 * this.reach);
    }
    this.renderer.autoClear = false;
    this.renderer.setScissorTest(false);
    this.renderer.setViewport(0, 0, w, h);
    this.renderer.clear();
    this.renderer.setScissorTest(split);
    if (split) {
      this.renderer.setViewport(0, 0, width, h);
      this.renderer.setScissor(0, 0, width, h);
      this.renderer.render(this.side, this.camera);
      this.renderer.setViewport(width, 0, width, h);
      this.renderer.setScissor(width, 0, width, h);
    }
    this.renderer.render(this.scene, this.camera);
    this.onDraw();
  }
}
