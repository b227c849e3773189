/** From where the molecule is looked at: the mouse, the arrow keys, and views along an axis. */

import { PerspectiveCamera, Quaternion, Vector3 } from "three";
import { TrackballControls } from "three/addons/controls/TrackballControls.js";
import { Vector } from "./rigid";

const FIELD = 26; // degrees
// From where, and what points up: x, y and z follow each other to the right and up.
const SIDES: Record<string, [Vector, Vector]> = {
  x: [
    [1, 0, 0],
    [0, 0, 1],
  ],
  y: [
    [0, 1, 0],
    [1, 0, 0],
  ],
  z: [
    [0, 0, 1],
    [0, 1, 0],
  ],
};

/** Of a molecule; it changes when the job does. */
export interface Extent {
  middle: Vector3;
  reach: number; // Å
}

export class Orbit {
  readonly camera = new PerspectiveCamera(FIELD, 1, 1, 100);
  private controls: TrackballControls;

  /** Around a molecule. */
  constructor(
    canvas: HTMLCanvasElement,
    private extent: Extent,
    private onMove: () => void,
  ) {
    this.controls = new TrackballControls(this.camera, canvas);
    Object.assign(this.controls, {
      rotateSpeed: 2.6,
      staticMoving: true,
      noPan: false,
      keys: ["", "", ""], // it would hear them wherever they are typed
    });
    this.controls.addEventListener("change", () => onMove());
    new ResizeObserver(() => {
      this.controls.handleResize();
      onMove();
    }).observe(canvas);
    canvas.addEventListener("pointermove", () => this.controls.update());
    canvas.addEventListener("wheel", () => this.controls.update(), { passive: true });
    this.side("z");
  }

  close(): void {
    this.controls.dispose();
  }

  /** All of the molecule, from the positive end of an axis. */
  side(axis: string): void {
    this.look(...SIDES[axis]);
  }

  /** Against a direction: what points along it points at the eye. */
  look(direction: Vector, up: Vector): void {
    const away = (this.extent.reach * 1.06) / Math.sin((FIELD * Math.PI) / 360);
    this.controls.target.copy(this.extent.middle);
    this.camera.position.copy(this.extent.middle).addScaledVector(new Vector3(...direction), away);
    this.camera.up.set(...up);
    this.camera.near = Math.max(1, away - 3 * this.extent.reach);
    this.camera.far = away + 6 * this.extent.reach;
    this.camera.lookAt(this.extent.middle);
    this.controls.update();
    this.onMove();
  }

  /** What points up now, or else to the right, if the view is to be along `direction`. */
  upright(direction: Vector): Vector {
    const to = new Vector3(...direction),
      up = this.camera.up.clone();
    const right = new Vector3().crossVectors(up, this.direction);
    const chosen = Math.abs(up.dot(to)) < 0.9 * up.length() ? up : right;
    return chosen.addScaledVector(to, -chosen.dot(to)).normalize().toArray();
  }

  /** Towards the eye, of length 1. */
  get direction(): Vector3 {
    return this.camera.getWorldDirection(new Vector3()).negate();
  }

  /** Pixels per Å at the middle of the molecule, in a picture of so many rows. */
  pixelsPerAngstrom(rows: number): number {
    const depth = this.camera.position.clone().sub(this.extent.middle).dot(this.direction);
    return (rows * this.camera.zoom) / (2 * Math.tan((FIELD * Math.PI) / 360) * depth);
  }

  /** Before drawing with this ratio of width to height. */
  fit(aspect: number): void {
    this.camera.aspect = aspect;
    // A narrow view must hold the whole molecule too.
    this.camera.zoom = Math.min(1, aspect);
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
  }

  /** Whether this key moves the eye. */
  key(key: string): boolean {
    const turn = { ArrowLeft: [0, 1], ArrowRight: [0, -1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[
      key
    ];
    if (turn) this.spin(turn[0], turn[1]);
    else if (key === "+" || key === "=") this.camera.position.lerp(this.extent.middle, 0.1);
    else if (key === "-") this.camera.position.lerp(this.extent.middle, -0.1);
    else if (key === "0") this.side("z");
    else if (key in SIDES) this.side(key);
    else return false;
    this.onMove();
    return true;
  }

  private spin(across: number, up: number): void {
    const away = this.camera.position.clone().sub(this.extent.middle);
    const axis = across
      ? new Vector3().crossVectors(this.camera.up, away).normalize()
      : this.camera.up.clone().normalize();
    const spin = new Quaternion().setFromAxisAngle(axis, -0.1 * (across + up));
    this.camera.position.copy(away.applyQuaternion(spin).add(this.extent.middle));
    this.camera.up.applyQuaternion(spin);
    this.camera.lookAt(this.extent.middle);
  }
}
