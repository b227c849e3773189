/** The kernel of a notebook, by messages of the widget that it made (its viewer/widget.py). */

import { Transport } from "./transport";

/** What anywidget gives of its model. */
export interface WidgetModel {
  on(event: "msg:custom", hear: (message: any, buffers: DataView[]) => void): void;
  off(event: "msg:custom", hear: (message: any, buffers: DataView[]) => void): void;
  send(content: object, callbacks?: unknown, buffers?: (ArrayBuffer | ArrayBufferView)[]): void;
}
/** The part of the state that Python and every page of the widget share. */
export type Shared = "shown" | "chosen";

const PATIENCE = 2500; // milliseconds until the page says that it waits
const WAITING =
  "waiting for the kernel: a cell may be running; if the kernel was restarted, run this cell again";

interface Reading {
  resolve: (bytes: ArrayBuffer) => void;
  reject: (error: Error) => void;
}

export class Comm implements Transport {
  onMessage: (data: string | ArrayBuffer) => void = () => {};
  onLost: (told: string) => void = () => {};
  onWait: (told: string) => void = () => {};
  private put: (kind: Shared, value: ArrayBuffer) => void = (kind, value) =>
    this.early.set(kind, value);
  private early = new Map<Shared, ArrayBuffer>();
  private view = Array.from(crypto.getRandomValues(new Uint32Array(2))).join("-");
  private readings = new Map<number, Reading>();
  private asked = 0;
  private timer = 0;
  private waits = false;

  constructor(private model: WidgetModel) {
    model.on("msg:custom", this.hear);
  }

  start(): void {
    this.ask({ what: "hello" });
  }

  send(data: string | ArrayBuffer): void {
    if (typeof data === "string") this.ask({ what: "text", text: data });
    else this.ask({ what: "frame" }, data);
  }

  /** Python, or another page of this widget, has chosen particles or gone to a latent. */
  onPut(take: (kind: Shared, value: ArrayBuffer) => void): void {
    this.put = take;
    this.early.forEach((value, kind) => take(kind, value));
  }

  read(path: string): Promise<ArrayBuffer> {
    const id = ++this.asked;
    this.ask({ what: "read", id, path });
    return new Promise((resolve, reject) => this.readings.set(id, { resolve, reject }));
  }

  /** Nothing comes back. */
  tell(what: Shared, value: ArrayBuffer): void {
    this.model.send({ view: this.view, what }, undefined, [value]);
  }

  /** Messages to a kernel wait for it by themselves. */
  now(): void {}

  end(): void {
    clearTimeout(this.timer);
    this.model.off("msg:custom", this.hear);
    this.model.send({ view: this.view, what: "bye" });
  }

  private ask(content: object, ...buffers: ArrayBuffer[]): void {
    this.timer ||= window.setTimeout(() => {
      this.waits = true;
      this.onWait(WAITING);
    }, PATIENCE);
    this.model.send({ view: this.view, ...content }, undefined, buffers);
  }

  private hear = (message: any, buffers: DataView[]): void => {
    if (message.but === this.view || (message.view && message.view !== this.view)) return;
    this.heard();
    const bytes = buffers.map(({ buffer, byteOffset, byteLength }) =>
      buffer.slice(byteOffset, byteOffset + byteLength),
    )[0] as ArrayBuffer;
    if (message.failed) this.onWait(message.failed);
    else if (message.put) this.put(message.put, bytes);
    else if (message.text) this.onMessage(message.text);
    else if (message.id) this.finish(message, bytes);
    else this.onMessage(bytes);
  };

  private finish(message: { id: number; error?: string }, bytes: ArrayBuffer): void {
    const reading = this.readings.get(message.id);
    this.readings.delete(message.id);
    if (message.error) reading?.reject(new Error(message.error));
    else reading?.resolve(bytes);
  }

  private heard(): void {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.waits) this.onWait("");
    this.waits = false;
  }
}
