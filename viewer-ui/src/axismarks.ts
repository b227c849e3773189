/** Axes of rotation, drawn as rods with a head: the rotation about it is right-handed. */

import {
  ConeGeometry,
  CylinderGeometry,
  Group,
  Mesh,
  MeshStandardMaterial,
  Quaternion,
  Vector3,
} from "three";
import { mergeGeometries } from "three/addons/utils/BufferGeometryUtils.js";
import { Rgb } from "./colors";
import { Vector } from "./rigid";

export interface Axis {
  name: string;
  hinge: Vector;
  direction: Vector;
  color: Rgb;
}
const THICK = 1 / 70; // of the radius of the molecule

export class AxisMarks extends Group {
  private rod = mergeGeometries([
    new CylinderGeometry(1, 1, 1.9, 12).translate(0, -0.05, 0),
    new ConeGeometry(2.6, 0.1, 16).translate(0, 0.95, 0),
  ]);

  /** Through their hinges, as long as a molecule of radius `reach` is wide. */
  set(axes: Axis[], reach: number): void {
    for (const mesh of this.children as Mesh[]) (mesh.material as MeshStandardMaterial).dispose();
    this.clear();
    const up = new Vector3(0, 1, 0);
    for (const { name, hinge, direction, color } of axes) {
      const material = new MeshStandardMaterial({ roughness: 0.6 });
      material.color.setRGB(color[0] / 255, color[1] / 255, color[2] / 255, "srgb");
      const mesh = new Mesh(this.rod, material);
      mesh.name = name;
      mesh.position.set(...hinge);
      mesh.quaternion.copy(new Quaternion().setFromUnitVectors(up, new Vector3(...direction)));
      mesh.scale.set(THICK * reach, 0.9 * reach, THICK * reach);
      this.add(mesh);
    }
  }
}
