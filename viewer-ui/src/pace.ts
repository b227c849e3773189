/** Whether this machine draws fast enough to be asked for full resolution while things move. */

const SLOW = 28; // milliseconds between frames, by median
const STILL = 160; // milliseconds without a new frame: nothing moves any more
const JUDGED = 7; // frames in a row

export class Pace {
  slow = false; // once it was, it is taken to stay so
  private moving = false;
  private before = -Infinity;
  private intervals: number[] = [];
  private timer = 0;

  /** `redraw` is called when nothing moves any more after a coarse frame. */
  constructor(private redraw: () => void) {}

  /** A frame begins at `time`, milliseconds. */
  tick(time: number): void {
    const interval = time - this.before;
    this.before = time;
    this.moving = interval < STILL;
    this.judge(interval);
    clearTimeout(this.timer);
    if (this.isCoarse()) this.timer = window.setTimeout(this.redraw, STILL);
  }

  /** Of the frame that has begun. */
  isCoarse(): boolean {
    return this.slow && this.moving;
  }

  private judge(interval: number): void {
    if (!this.moving) this.intervals = [];
    else this.intervals.push(interval);
    if (this.intervals.length < JUDGED) return;
    this.slow ||= this.intervals.sort((a, b) => a - b)[JUDGED >> 1] > SLOW;
    this.intervals = [];
  }
}
