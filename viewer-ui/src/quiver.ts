/** Arrows from each Gaussian of one model to the same one of another. */

import {
  Color,
  ConeGeometry,
  CylinderGeometry,
  DoubleSide,
  Group,
  InstancedMesh,
  Matrix4,
  MeshStandardMaterial,
  Quaternion,
  Vector3,
} from "three";
import { mergeGeometries } from "three/addons/utils/BufferGeometryUtils.js";
import { distance, placeOf } from "./balls";
import { motion } from "./colors";
import { Model } from "./protocol";
import { Slab } from "./slab";

export interface Arrows {
  from: Model;
  to: Model;
  scale: number; // arrows are so many times as long as the way
}
const MOST = 350; // arrows that can be told apart
const LEAST = 0.05; // Å; less is no motion

export class Quiver extends Group {
  longest = 0; // Å, before it is scaled

  /** What is seen of the arrows. */
  cut(slab: Slab): void {
    for (const { material } of this.children as InstancedMesh[])
      (material as MeshStandardMaterial).clippingPlanes = slab.isCut ? slab.planes : null;
  }

  /** None without arrows; `reach` is the radius of the molecule, `isSeen` says which Gaussians are. */
  set(arrows: Arrows | null, reach: number, isSeen: (i: number) => boolean): void {
    for (const child of this.children as InstancedMesh[]) {
      child.geometry.dispose();
      (child.material as MeshStandardMaterial).dispose();
    }
    this.clear();
    if (!arrows) return;
    const { from, to, scale } = arrows;
    const moved = Array.from(from.amplitude.keys(), (i) => distance(from, to, i));
    const longest = (this.longest = Math.max(...moved));
    const shown = Array.from(moved.keys()).filter(
      (i) => moved[i] > 0.1 * longest && longest > LEAST && isSeen(i),
    );
    const every = Math.ceil(shown.length / MOST);
    const chosen = shown.filter((_, k) => k % every === 0);
    const shaft = new CylinderGeometry(0.3, 0.3, 0.72, 8).translate(0, 0.36, 0);
    const head = new ConeGeometry(1, 0.28, 12).translate(0, 0.86, 0);
    const material = new MeshStandardMaterial({ roughness: 0.6, side: DoubleSide });
    const mesh = new InstancedMesh(mergeGeometries([shaft, head]), material, chosen.length);
    const thick = reach / 34;
    const up = new Vector3(0, 1, 0);
    chosen.forEach((i, k) => {
      const start = placeOf(from, i);
      const way = placeOf(to, i).sub(start);
      const size = new Vector3(thick, Math.max(1e-3, way.length() * scale), thick);
      const turn = new Quaternion().setFromUnitVectors(up, way.normalize());
      mesh.setMatrixAt(k, new Matrix4().compose(start, turn, size));
      const [r, g, b] = motion(moved[i] / longest);
      mesh.setColorAt(k, new Color().setRGB(r / 255, g / 255, b / 255, "srgb"));
    });
    mesh.frustumCulled = false;
    this.add(mesh);
  }
}
