/** A Gaussian model as shaded spheres, or as the surface of its density. */

import {
  BufferAttribute,
  BufferGeometry,
  DoubleSide,
  Matrix4,
  Mesh,
  MeshStandardMaterial,
  Points,
  ShaderMaterial,
  Vector2,
  Vector3,
  Vector4,
} from "three";
import { Model } from "./protocol";
import { Slab } from "./slab";

const CUT_FACE = 0.5; // brightness of what is cut open
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
uniform bool isCut; uniform vec4 slab[2];
void main() {
  vec2 d = gl_PointCoord * 2.0 - 1.0;
  float r = dot(d, d);
  if (r > 1.0) discard;
  vec3 normal = vec3(d.x, -d.y, sqrt(1.0 - r));
  // Along the line of sight a sphere fills the depths from back to front; each plane takes a part.
  float front = seat.z + seat.w * normal.z, back = seat.z - seat.w * normal.z;
  bool isFace = false;
  for (int i = 0; i < 2; i++) {
    if (!isCut) break;
    vec4 plane = slab[i];
    float kept = dot(plane.xy, seat.xy + seat.w * normal.xy) + plane.w;
    if (abs(plane.z) < 1e-4) {
      if (kept < 0.0) discard;
    } else if (plane.z > 0.0) back = max(back, -kept / plane.z);
    else if (-kept / plane.z < front) {
      front = -kept / plane.z;
      isFace = true;
    }
  }
  if (front < back) discard;
  vec4 clip = projectionMatrix * vec4(seat.xy + seat.w * normal.xy, front, 1.0);
  gl_FragDepth = 0.5 + 0.5 * clip.z / clip.w;
  float light = 0.45 + 0.6 * max(0.0, dot(normal, normalize(vec3(0.35, 0.55, 0.85))));
  float shine = pow(max(0.0, dot(normal, normalize(vec3(0.25, 0.42, 0.9)))), 24.0) * 0.2;
  if (isFace) { light = ${CUT_FACE.toFixed(2)}; shine = 0.0; }
  float depth = clamp((-seat.z - depths.x) / (depths.y - depths.x), 0.0, 1.0);
  gl_FragColor = vec4(mix(shade.rgb * light + shine, haze, 0.4 * depth * depth), 1.0) * opacity;
}`;

// The inside of a surface that is cut open, without light and shade: it looks like a face.
const INSIDE_OF_SURFACE = `
#include <opaque_fragment>
#ifdef FLIP_SIDED
  bool isInside = gl_FrontFacing;
#else
  bool isInside = !gl_FrontFacing;
#endif
if (isCut && isInside) gl_FragColor.rgb = ${(CUT_FACE * CUT_FACE).toFixed(2)} * vColor.rgb;`;

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
      isCut: { value: false },
      slab: { value: [new Vector4(), new Vector4()] },
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
    material.onBeforeCompile = (shader) => {
      shader.uniforms.isCut = uniforms.isCut;
      shader.fragmentShader = shader.fragmentShader
        .replace("void main() {", "uniform bool isCut; void main() {")
        .replace("#include <opaque_fragment>", INSIDE_OF_SURFACE);
    };
    this.mesh = new Mesh(new BufferGeometry(), material);
    this.mesh.frustumCulled = false;
  }

  /** What is seen of it; planes in the molecule's frame and, for spheres, in the camera's. */
  cut(slab: Slab, toCamera: Matrix4): void {
    const { uniforms } = this.points.material;
    uniforms.isCut.value = slab.isCut;
    this.mesh.material.clippingPlanes = slab.isCut ? slab.planes : null;
    slab.planes.forEach((plane, i) => {
      const { normal, constant } = plane.clone().applyMatrix4(toCamera);
      uniforms.slab.value[i].set(normal.x, normal.y, normal.z, constant);
    });
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
