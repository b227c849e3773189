/** Plays a path: there and back or round, faster or slower, or step by step. */

import { Page } from "./dom";

const ONE_WAY = 2500; // milliseconds, at the speed of 1

export class Player {
  part = 0; // of the way
  playing = false;
  private last = 0;
  private back = false;

  constructor(
    private page: Page,
    private legs: () => number, // of the path; 0 without one
    private show: (part: number) => void,
  ) {
    page.button("play").onclick = () => this.toggle();
    page.button("step-back").onclick = () => this.step(-1);
    page.button("step-on").onclick = () => this.step(1);
    page.input("along").oninput = () => {
      this.stop();
      this.goTo(page.input("along").valueAsNumber);
    };
  }

  goTo(part: number): void {
    this.part = part;
    this.page.input("along").value = String(part);
    this.show(part);
  }

  /** A path that comes back is played round, unless the user then says otherwise. */
  take(closed: boolean): void {
    this.page.select("turn").value = closed ? "round" : "back";
    this.back = false;
    this.part = 0;
    this.page.input("along").value = "0";
  }

  toggle(): void {
    if (this.playing || !this.legs()) return this.stop();
    this.playing = true;
    this.last = performance.now();
    this.page.button("play").textContent = "Stop";
    const frame = () => {
      if (!this.playing) return;
      const now = performance.now();
      this.advance(((now - this.last) * Number(this.page.select("speed").value)) / ONE_WAY);
      this.last = now;
      requestAnimationFrame(frame);
    };
    frame();
  }

  stop(): void {
    this.playing = false;
    this.page.button("play").textContent = "Play";
  }

  /** To the next point of the path, or the one before. */
  step(way: 1 | -1): void {
    const legs = this.legs();
    if (!legs) return;
    this.stop();
    const at = this.part * legs;
    const next = way > 0 ? Math.floor(at + 1e-6) + 1 : Math.ceil(at - 1e-6) - 1;
    if (!this.isRound) return this.goTo(Math.max(0, Math.min(legs, next)) / legs);
    this.goTo((next > legs ? next - legs : next < 0 ? next + legs : next) / legs);
  }

  private get isRound(): boolean {
    return this.page.select("turn").value === "round";
  }

  private advance(by: number): void {
    if (this.isRound) return this.goTo((this.part + by) % 1);
    let at = (this.back ? 2 - this.part : this.part) + by; // 0 to 1 there, 1 to 2 back
    at %= 2;
    this.back = at > 1;
    this.goTo(this.back ? 2 - at : at);
  }
}
