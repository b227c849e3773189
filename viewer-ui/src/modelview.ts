/** The molecule: Gaussians as shaded spheres or as the surface of their density, and arrows. */

import {
  AmbientLight, BufferAttribute, BufferGeometry, Color, ConeGeometry, CylinderGeometry, DirectionalLight, DoubleSide,
  Group, InstancedMesh, Matrix4, Mesh, MeshStandardMaterial, PerspectiveCamera, Points, Quaternion, Scene, ShaderMaterial,
  Vector2, Vector3, WebGLRenderer,
} from "three";
import { TrackballControls } from "three/addons/controls/TrackballControls.js";
import { mergeGeometries } from "three/addons/utils/BufferGeometryUtils.js";
import { Rgb, diverging, hexColor, ink, sequential } from "./colors";
import { DensityMap, Model } from "./protocol";

export type Look = "spheres" | "surface";
export type Tint = "plain" | "displacement" | "amplitude";
export type Beside = "off" | "under" | "beside";
const MOST_ARROWS = 350, GRID = 64;

const VERTEX = `
attribute float radius; attribute vec3 tint; uniform float height; varying vec4 shade; varying vec4 seat;
void main() {
  vec4 seen = modelViewMatrix * vec4(position, 1.0);
  shade = vec4(tint, 1.0); seat = vec4(seen.xyz, radius);
  gl_Position = projectionMatrix * seen;
  gl_PointSize = radius > 0.0 ? max(1.0, height * projectionMatrix[1][1] * radius / -seen.z) : 0.0;
}`;
const FRAGMENT = `
uniform mat4 projectionMatrix; uniform float opacity; uniform vec2 depths; uniform vec3 haze; varying vec4 shade; varying vec4 seat;
void main() {
  vec2 d = gl_PointCoord * 2.0 - 1.0;
  float r = dot(d, d);
  if (r > 1.0) discard;
  vec3 normal = vec3(d.x, -d.y, sqrt(1.0 - r));
  vec4 clip = projectionMatrix * vec4(seat.xyz + seat.w * normal, 1.0);
  gl_FragDepth = 0.5 + 0.5 * clip.z / clip.w;
  float light = 0.45 + 0.6 * max(0.0, dot(normal, normalize(vec3(0.35, 0.55, 0.85))));
  float shine = pow(max(0.0, dot(normal, normalize(vec3(0.25, 0.42, 0.9)))), 24.0) * 0.2;
  float depth = clamp((-seat.z - depths.x) / (depths.y - depths.x), 0.0, 1.0);
  gl_FragColor = vec4(mix(shade.rgb * light + shine, haze, 0.4 * depth * depth), 1.0) * opacity;
}`;

class Ball {
  points: Points<BufferGeometry, ShaderMaterial>;
  mesh: Mesh<BufferGeometry, MeshStandardMaterial>;
  constructor(gaussians: number, opacity: number) {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(3 * gaussians), 3));
    geometry.setAttribute("tint", new BufferAttribute(new Float32Array(3 * gaussians), 3));
    geometry.setAttribute("radius", new BufferAttribute(new Float32Array(gaussians), 1));
    const uniforms = { opacity: { value: opacity }, height: { value: 100 }, depths: { value: new Vector2() }, haze: { value: new Vector3() } };
    this.points = new Points(geometry, new ShaderMaterial({ vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms, transparent: opacity < 1, premultipliedAlpha: true }));
    this.points.frustumCulled = false;
    const material = new MeshStandardMaterial({ vertexColors: true, roughness: 0.55, metalness: 0, side: DoubleSide, transparent: opacity < 1, opacity, depthWrite: opacity === 1 });
    this.mesh = new Mesh(new BufferGeometry(), material);
    this.mesh.frustumCulled = false;
  }
}

export class ModelView {
  look: Look = "spheres";
  tint: Tint = "displacement";
  beside: Beside = "off";
  level = 0.3; // of the largest density
  reference: Model | null = null;
  arrows: { from: Model; to: Model; scale: number } | null = null;
  most = 0; // end of the colour scale: Å, or share of the amplitude
  longest = 0; // arrow, Å, before it is scaled
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
  private moving: Ball; private still: Ball; private ghost: Ball;
  private quiver = new Group();
  private lights: DirectionalLight[] = [];
  private worker: Worker;
  private orders = new Map<number, Ball>();
  private waiting = new Map<Ball, () => void>();
  private busy = false; private ordered = 0; private frame = 0;
  private middle = new Vector3(); private reach = 10; private solid = 1; private peak = 1;
  private top = 0; // largest displacement seen so far, so that colours do not jump about

  constructor(private canvas: HTMLCanvasElement, private neutral: Model) {
    const count = neutral.amplitude.length;
    this.renderer = new WebGLRenderer({ canvas, antialias: devicePixelRatio < 1.5, alpha: true });
    this.moving = new Ball(count, 1); this.still = new Ball(count, 1); this.ghost = new Ball(count, 0.2);
    this.scene.add(this.moving.points, this.moving.mesh, this.ghost.points, this.ghost.mesh, this.mapBall.mesh, this.quiver);
    this.side.add(this.still.points, this.still.mesh);
    for (let i = 0; i < count; i++) this.middle.add(placeOf(neutral, i).divideScalar(count));
    for (let i = 0; i < count; i++) this.reach = Math.max(this.reach, placeOf(neutral, i).distanceTo(this.middle) + 1.5 * neutral.width[i]);
    for (const scene of [this.scene, this.side]) {
      const key = new DirectionalLight(0xffffff, 2.2);
      this.lights.push(key);
      scene.add(new AmbientLight(0xffffff, 1.1), key, key.target);
    }
    const sorted = neutral.amplitude.slice().sort();
    this.solid = sorted[Math.floor(0.8 * (sorted.length - 1))] || 1;
    this.controls = new TrackballControls(this.camera, canvas);
    Object.assign(this.controls, { rotateSpeed: 2.6, staticMoving: true, noPan: false });
    this.controls.addEventListener("change", () => this.draw());
    this.resetCamera();
    this.worker = new Worker(new URL("./surface.worker.ts", import.meta.url), { type: "module" });
    this.worker.onmessage = (event) => this.takeSurface(event.data);
    this.peak = this.densityPeak(neutral);
    new ResizeObserver(() => { this.controls.handleResize(); this.draw(); }).observe(canvas);
    canvas.addEventListener("pointermove", () => this.spin());
    canvas.addEventListener("wheel", () => this.spin(), { passive: true });
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.show(neutral);
  }

  resetCamera(): void {
    const away = (this.reach * 1.06) / Math.sin((this.camera.fov * Math.PI) / 360);
    this.controls.target.copy(this.middle);
    this.camera.position.copy(this.middle).setZ(this.middle.z + away);
    this.camera.up.set(0, 1, 0);
    this.camera.near = Math.max(1, away - 3 * this.reach); this.camera.far = away + 6 * this.reach;
    this.camera.lookAt(this.middle);
    this.controls.update();
    this.draw();
  }

  /** Drawn with the next frame, however many models come before it. */
  show(model: Model): void {
    this.model = model;
    this.due ||= requestAnimationFrame(() => { this.due = 0; this.refresh(); });
  }
  private due = 0;

  /** After a change of model, look, colours or reference. */
  refresh(): void {
    if (!this.model) return;
    const reference = this.reference ?? this.neutral, plain = hexColor(ink("--molecule"));
    const colors = this.colors(this.model, reference);
    this.fill(this.moving, this.model, colors, true);
    const gray = new Float32Array(3 * this.neutral.amplitude.length);
    for (let i = 0; i < gray.length; i++) gray[i] = plain[i % 3] / 255;
    if (this.beside === "beside") this.fill(this.still, reference, gray, true);
    this.fill(this.ghost, reference, gray, this.beside === "under");
    this.drawQuiver();
    this.onColors();
    this.draw();
  }

  /** The surface of a rebuilt map, over the model; none without one. */
  showMap(density: DensityMap | null, level: number): void {
    this.density = density; this.densityLevel = level;
    this.waiting.delete(this.mapBall);
    this.mapBall.mesh.visible = density !== null;
    if (!density) return this.draw();
    const { size, step, value } = density, edge = -(size >> 1) * step;
    const plain = hexColor(ink("--accent")).map((part) => (part / 255) ** 2.2);
    this.send(this.mapBall, () => ({ value, plain, level, size, low: [edge, edge, edge], step }));
  }

  private colors(model: Model, reference: Model): Float32Array {
    const count = model.amplitude.length, colors = new Float32Array(3 * count);
    const change = new Float32Array(count);
    let most = 0;
    for (let i = 0; i < count; i++) {
      if (this.tint === "displacement") change[i] = distance(model, reference, i);
      else if (this.tint === "amplitude") change[i] = (model.amplitude[i] - reference.amplitude[i]) / this.solid;
      most = Math.max(most, Math.abs(change[i]));
    }
    if (this.tint === "displacement") { this.top = Math.max(this.top, most, 1); most = this.top; }
    else most = 1;
    this.most = most;
    const plain = hexColor(ink("--molecule"));
    for (let i = 0; i < count; i++) {
      const rgb: Rgb = this.tint === "plain" ? plain : this.tint === "displacement" ? sequential(change[i] / most) : diverging(0.5 + (0.5 * change[i]) / most);
      for (let c = 0; c < 3; c++) colors[3 * i + c] = rgb[c] / 255;
    }
    return colors;
  }

  private fill(ball: Ball, model: Model, colors: Float32Array, shown: boolean): void {
    ball.points.visible = shown && this.look === "spheres";
    ball.mesh.visible = shown && this.look === "surface";
    if (!shown) return;
    if (this.look === "surface") return this.order(ball, model, colors);
    const { position, tint, radius } = ball.points.geometry.attributes as Record<string, BufferAttribute>;
    (position.array as Float32Array).set(model.center);
    (tint.array as Float32Array).set(colors);
    for (let i = 0; i < model.amplitude.length; i++)
      (radius.array as Float32Array)[i] = (this.arrows ? 0.28 : 1.05) * model.width[i] * Math.min(1.35, Math.cbrt(model.amplitude[i] / this.solid));
    position.needsUpdate = tint.needsUpdate = radius.needsUpdate = true;
  }

  private order(ball: Ball, model: Model, color: Float32Array): void {
    const linear = color.map((value) => value ** 2.2); // as lights add up; the screen's are not
    const half = 1.15 * this.reach, step = (2 * half) / (GRID - 1), low = this.middle.toArray().map((v) => v - half);
    this.send(ball, () => ({ ...model, color: linear, level: this.level * this.peak, size: GRID, low, step }));
  }

  private send(ball: Ball, grid: () => object): void {
    const send = () => {
      this.orders.set(++this.ordered, ball);
      this.busy = true;
      this.worker.postMessage({ id: this.ordered, ...grid() });
    };
    if (this.busy) this.waiting.set(ball, send); // the newest of each ball waits, older ones are dropped
    else send();
  }

  private takeSurface(nets: { id: number; position: Float32Array; normal: Float32Array; color: Float32Array; index: Uint32Array }): void {
    const ball = this.orders.get(nets.id);
    this.orders.delete(nets.id);
    this.busy = false;
    if (ball) {
      const geometry = new BufferGeometry();
      for (const name of ["position", "normal", "color"] as const) geometry.setAttribute(name, new BufferAttribute(nets[name], 3));
      geometry.setIndex(new BufferAttribute(nets.index, 1));
      ball.mesh.geometry.dispose();
      ball.mesh.geometry = geometry;
    }
    const next = this.waiting.entries().next().value;
    if (next) { this.waiting.delete(next[0]); next[1](); }
    this.draw();
  }

  /** Of the neutral model, near the centre of its heaviest Gaussians: the unit of the level. */
  private densityPeak(model: Model): number {
    const order = Array.from(model.amplitude.keys()).sort((a, b) => model.amplitude[b] - model.amplitude[a]);
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

  private drawQuiver(): void {
    for (const child of this.quiver.children as InstancedMesh[]) { child.geometry.dispose(); (child.material as MeshStandardMaterial).dispose(); }
    this.quiver.clear();
    if (!this.arrows) return;
    const { from, to, scale } = this.arrows, moved = Array.from(from.amplitude.keys(), (i) => distance(from, to, i));
    const longest = (this.longest = Math.max(...moved));
    const shown = Array.from(moved.keys()).filter((i) => moved[i] > 0.1 * longest && longest > 0.05);
    const every = Math.ceil(shown.length / MOST_ARROWS), chosen = shown.filter((_, k) => k % every === 0);
    const shaft = new CylinderGeometry(0.3, 0.3, 0.72, 8).translate(0, 0.36, 0), head = new ConeGeometry(1, 0.28, 12).translate(0, 0.86, 0);
    const geometry = mergeGeometries([shaft, head]);
    const mesh = new InstancedMesh(geometry, new MeshStandardMaterial({ roughness: 0.6 }), chosen.length);
    const thick = this.reach / 34, up = new Vector3(0, 1, 0);
    chosen.forEach((i, k) => {
      const start = placeOf(from, i), way = placeOf(to, i).sub(start), length = way.length();
      const turn = new Quaternion().setFromUnitVectors(up, way.normalize());
      mesh.setMatrixAt(k, new Matrix4().compose(start, turn, new Vector3(thick, Math.max(1e-3, length * scale), thick)));
      const rgb = sequential(moved[i] / longest);
      mesh.setColorAt(k, new Color().setRGB(rgb[0] / 255, rgb[1] / 255, rgb[2] / 255, "srgb"));
    });
    mesh.frustumCulled = false;
    this.quiver.add(mesh);
  }

  private spin(): void { this.controls.update(); }

  private key(event: KeyboardEvent): void {
    const turn = { ArrowLeft: [0, 1], ArrowRight: [0, -1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
    if (turn) {
      const away = this.camera.position.clone().sub(this.middle);
      const axis = turn[0] ? new Vector3().crossVectors(this.camera.up, away).normalize() : this.camera.up.clone().normalize();
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

  draw(): void { this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.paint(); }); }

  private paint(): void {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (!w || !h) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(w, h, false);
    const split = this.beside === "beside", width = split ? w / 2 : w, far = this.camera.position.distanceTo(this.middle);
    this.camera.aspect = width / h;
    // A narrow view must hold the whole molecule too.
    this.camera.zoom = Math.min(1, this.camera.aspect);
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
    for (const light of this.lights) light.position.set(0.35, 0.55, 0.85).applyQuaternion(this.camera.quaternion);
    const haze = new Vector3(...hexColor(ink("--card"))).divideScalar(255);
    for (const ball of [this.moving, this.still, this.ghost]) {
      const { uniforms } = ball.points.material;
      uniforms.height.value = h * this.renderer.getPixelRatio(); uniforms.haze.value = haze;
      uniforms.depths.value.set(far - 0.4 * this.reach, far + 1.3 * this.reach);
    }
    this.renderer.autoClear = false;
    this.renderer.setScissorTest(false);
    this.renderer.setViewport(0, 0, w, h);
    this.renderer.clear();
    this.renderer.setScissorTest(split);
    if (split) {
      this.renderer.setViewport(0, 0, width, h); this.renderer.setScissor(0, 0, width, h);
      this.renderer.render(this.side, this.camera);
      this.renderer.setViewport(width, 0, width, h); this.renderer.setScissor(width, 0, width, h);
    }
    this.renderer.render(this.scene, this.camera);
    this.onDraw();
  }
}

function distance(a: Model, b: Model, i: number): number {
  return Math.hypot(a.center[3 * i] - b.center[3 * i], a.center[3 * i + 1] - b.center[3 * i + 1], a.center[3 * i + 2] - b.center[3 * i + 2]);
}

function placeOf(model: Model, i: number): Vector3 {
  return new Vector3(model.center[3 * i], model.center[3 * i + 1], model.center[3 * i + 2]);
}
