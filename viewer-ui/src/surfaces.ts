/** Surfaces of densities, found by a worker: the page is never held up. */

import { BufferAttribute, BufferGeometry } from "three";
import { Ball } from "./balls";

interface Net {
  id: number;
  position: Float32Array;
  normal: Float32Array;
  color: Float32Array;
  index: Uint32Array;
}

export class SurfaceFinder {
  busy = false;
  private worker: Worker;
  private orders = new Map<number, Ball>();
  private waiting = new Map<Ball, () => void>();
  private ordered = 0;

  constructor(private onFound: () => void) {
    this.worker = new Worker(new URL("./surface.worker.ts", import.meta.url), { type: "module" });
    this.worker.onmessage = (event) => this.take(event.data);
  }

  /** Find the surface of a grid for a ball; the newest order of each waits, older ones are dropped. */
  order(ball: Ball, grid: () => object): void {
    const send = () => {
      this.orders.set(++this.ordered, ball);
      this.busy = true;
      this.worker.postMessage({ id: this.ordered, ...grid() });
    };
    if (this.busy) this.waiting.set(ball, send);
    else send();
  }

  forget(ball: Ball): void {
    this.waiting.delete(ball);
  }

  private take(net: Net): void {
    const ball = this.orders.get(net.id);
    this.orders.delete(net.id);
    this.busy = false;
    if (ball) {
      const geometry = new BufferGeometry();
      for (const name of ["position", "normal", "color"] as const)
        geometry.setAttribute(name, new BufferAttribute(net[name], 3));
      geometry.setIndex(new BufferAttribute(net.index, 1));
      ball.mesh.geometry.dispose();
      ball.mesh.geometry = geometry;
    }
    const next = this.waiting.entries().next().value;
    if (next) {
      this.waiting.delete(next[0]);
      next[1]();
    }
    this.onFound();
  }
}
