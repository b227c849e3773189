/** Surfaces of densities, found by a worker, so that the page is not held up. */

import { BufferAttribute, BufferGeometry } from "three";
import { Ball } from "./balls";
import { Given, Grid, Splat, netsOf } from "./surface.worker";

interface Net {
  id: number;
  position: Float32Array;
  normal: Float32Array;
  color: Float32Array;
  index: Uint32Array;
}

export class SurfaceFinder {
  busy = false;
  private worker: Worker | null;
  private sent: Grid | null = null;
  private orders = new Map<number, Ball>();
  private waiting = new Map<Ball, () => void>();
  private ordered = 0;

  constructor(
    startWorker: () => Worker,
    private onFound: () => void,
  ) {
    this.worker = startWorker();
    this.worker.onmessage = (event) => this.take(event.data);
    // Some notebooks forbid workers: then the page is held up for a moment.
    this.worker.onerror = () => {
      this.worker = null;
      if (this.busy) this.find();
    };
  }

  close(): void {
    this.worker?.terminate();
  }

  /** Find the surface of a grid for a ball; the newest order of each waits, older ones are dropped. */
  order(ball: Ball, grid: () => Omit<Splat, "id"> | Omit<Given, "id">): void {
    const send = () => {
      this.orders.set(++this.ordered, ball);
      this.busy = true;
      this.sent = { id: this.ordered, ...grid() };
      if (this.worker) this.worker.postMessage(this.sent);
      else this.find();
    };
    if (this.busy) this.waiting.set(ball, send);
    else send();
  }

  forget(ball: Ball): void {
    this.waiting.delete(ball);
  }

  private find(): void {
    const sent = this.sent!;
    setTimeout(() => this.take({ id: sent.id, ...netsOf(sent) }));
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
