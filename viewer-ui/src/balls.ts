/** A Gaussian model as shaded spheres, or as the surface of its density. */

import {
  BufferAttribute,
  BufferGeometry,
  DoubleSide,
  Mesh,
  MeshStandardMaterial,
  Points,
  ShaderMaterial,
  Vector2,
  Vector3,
} from "three";
import { Model } from "./protocol";

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

/** Spheres are points whose depth and shade are found per pixel: no mesh of thousands of balls. */
export class Ball {
  points: Points<BufferGeometry, ShaderMaterial>;
  mesh: Mesh<BufferGeometry, MeshStandardMaterial>;
  constructor(gaussians: number, opacity: number) {
    const geometry = makeSeats(gaussians);
    const uniforms = {
      opacity: { value: opacity },
      height: { value: 100 },
      depths: { value: new Vector2() },
      haze: { value: new Vector3() },
    };
    this.points = new Points(
      geometry,
      new ShaderMaterial({
        vertexShader: VERTEX,
        fragmentShader: FRAGMENT,
        uniforms,
        transparent: opacity < 1,
        premultipliedAlpha: true,
      }),
    );
    this.points.frustumCulled = false;
    const material = new MeshStandardMaterial({
      vertexColors: true,
      roughness: 0.55,
      metalness: 0,
      side: DoubleSide,
      transparent: opacity < 1,
      opacity,
      depthWrite: opacity === 1,
    });
    this.mesh = new Mesh(new BufferGeometry(), material);
    this.mesh.frustumCulled = false;
  }

  /** Spheres of one model; `solid` is the amplitude of a full one, `scale` their size. */
  setSpheres(model: Model, colors: Float32Array, solid: number, scale: number): void {
    if (this.points.geometry.attributes.radius.count !== model.amplitude.length) {
      this.points.geometry.dispose();
      this.points.geometry = makeSeats(model.amplitude.length);
    }
    const { position, tint, radius } = this.points.geometry.attributes as Record<
      string,
      BufferAttribute
    >;
    (position.array as Float32Array).set(model.center);
    (tint.array as Float32Array).set(colors);
    for (let i = 0; i < model.amplitude.length; i++)
      (radius.array as Float32Array)[i] =
        scale * model.width[i] * Math.min(1.35, Math.cbrt(model.amplitude[i] / solid));
    position.needsUpdate = tint.needsUpdate = radius.needsUpdate = true;
  }
}

function makeSeats(gaussians: number): BufferGeometry {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(3 * gaussians), 3));
  geometry.setAttribute("tint", new BufferAttribute(new Float32Array(3 * gaussians), 3));
  geometry.setAttribute("radius", new BufferAttribute(new Float32Array(gaussians), 1));
  return geometry;
}

/** How far a Gaussian is from the same one of another model. */
export function distance(a: Model, b: Model, i: number): number {
  return Math.hypot(
    a.center[3 * i] - b.center[3 * i],
    a.center[3 * i + 1] - b.center[3 * i + 1],
    a.center[3 * i + 2] - b.center[3 * i + 2],
  );
}

export function placeOf(model: Model, i: number): Vector3 {
  return new Vector3(model.center[3 * i], model.center[3 * i + 1], model.center[3 * i + 2]);
}
