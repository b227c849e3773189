/** The server as the page sees it: questions and answers in binary, everything else in JSON. */

export type ColumnKind = "number" | "category" | "angle";
export interface ColumnInfo {
  name: string;
  title: string;
  kind: ColumnKind;
}
export interface Motion {
  name: string;
  direction: number[];
  low: number;
  high: number;
}
export interface Task {
  number: number;
  command: string;
  state: string;
  line: string;
}
export interface Job {
  name: string;
  folder: string;
  particles: number;
  latents: number;
  gaussians: number;
  box: number;
  columns: ColumnInfo[];
  linear: string[];
  axes: { direction: number[]; offset: number }[];
  paths: Record<string, number[][]>;
  closed: string[]; // paths that come back to their first point
  motions: Motion[];
  tasks: Task[];
}

/** One Gaussian model; lengths in Å. */
export interface Model {
  center: Float32Array;
  amplitude: Float32Array;
  width: Float32Array;
}
export interface Answer {
  number: number;
  latent: Float32Array;
  reach: number;
  model: Model;
  bytes: number;
}

export const IN_PLANE = 0,
  AMONG_PARTICLES = 1,
  LATENT = 2;
export const ENDED =
  "the server has ended: start cryomix view again, and open the address that it prints";
const AT_ONCE = 2; // questions under way; of the others only the newest is kept

export function readAnswer(buffer: ArrayBuffer): Answer {
  const head = new DataView(buffer);
  const gaussians = head.getUint32(4, true),
    latents = head.getUint32(8, true);
  let at = 16;
  const take = (count: number) => {
    const part = new Float32Array(buffer, at, count);
    at += 4 * count;
    return part;
  };
  const latent = take(latents);
  const model = { center: take(3 * gaussians), amplitude: take(gaussians), width: take(gaussians) };
  return {
    number: head.getUint32(0, true),
    latent,
    reach: head.getFloat32(12, true),
    model,
    bytes: buffer.byteLength,
  };
}

/** A map that was rebuilt from particles; its middle voxel, size >> 1, lies at the origin of the Gaussians. */
export interface DensityMap {
  size: number;
  step: number;
  most: number;
  contour: number;
  value: Float32Array;
}

function readMap(bytes: ArrayBuffer): DensityMap {
  const head = new DataView(bytes);
  return {
    size: head.getUint32(0, true),
    step: head.getFloat32(4, true),
    most: head.getFloat32(8, true),
    contour: head.getFloat32(12, true),
    value: new Float32Array(bytes, 16),
  };
}

interface Waiting {
  started: number;
  done: (answer: Answer) => void;
}

export class Connection {
  onAnswer: (answer: Answer, milliseconds: number) => void = () => {};
  onTask: (task: Task) => void = () => {};
  onClose: () => void = () => {};
  onChange: () => void = () => {}; // the job has other results by now
  private socket!: WebSocket;
  private number = 0;
  private sent = new Map<number, Waiting>();
  private queue: { frame: ArrayBuffer; asked: number; done: (answer: Answer) => void } | null =
    null;
  private acts = new Map<number, (message: any) => void>();
  private acted = 0;
  private columns = new Map<string, Promise<Float32Array>>();

  /** After the job was read: the server reads it anew only while nobody is connected. */
  open(): Promise<void> {
    const address = new URL("talk", location.href);
    address.protocol = "ws:";
    const socket = (this.socket = new WebSocket(address));
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.hear(event.data);
    socket.onclose = () => {
      this.onClose();
      for (const done of this.acts.values()) done({ error: ENDED });
      this.acts.clear();
    };
    return new Promise((resolve) => (socket.onopen = () => resolve()));
  }

  /** Ask for the model at a place; a newer question takes the place of one not sent yet. */
  ask(
    kind: number,
    columns: [number, number],
    value: ArrayLike<number>,
    done?: (answer: Answer) => void,
  ): void {
    const frame = new ArrayBuffer(8 + 4 * value.length);
    const head = new DataView(frame);
    head.setUint8(4, kind);
    head.setUint8(5, columns[0]);
    head.setUint8(6, columns[1]);
    for (let i = 0; i < value.length; i++) head.setFloat32(8 + 4 * i, value[i], true);
    this.queue = { frame, asked: performance.now(), done: done ?? ((answer) => this.show(answer)) };
    this.flush();
  }

  /** The model at a latent, whatever else is asked for meanwhile. */
  modelAt(latent: ArrayLike<number>): Promise<Answer> {
    return new Promise((resolve) => {
      const frame = new ArrayBuffer(8 + 4 * latent.length);
      const head = new DataView(frame);
      head.setUint8(4, LATENT);
      for (let i = 0; i < latent.length; i++) head.setFloat32(8 + 4 * i, latent[i], true);
      this.send(frame, performance.now(), resolve);
    });
  }

  act(message: object): Promise<any> {
    if (this.socket.readyState !== WebSocket.OPEN) return Promise.resolve({ error: ENDED });
    const id = ++this.acted;
    this.socket.send(JSON.stringify({ id, ...message }));
    return new Promise((resolve) => this.acts.set(id, resolve));
  }

  job(): Promise<Job> {
    return fetchJson("job");
  }

  /** Scores per epoch, as they are now. */
  history(): Promise<Record<string, number[]>> {
    return fetchJson("history");
  }

  /** One value per particle; fetched once. */
  column(name: string): Promise<Float32Array> {
    let found = this.columns.get(name);
    if (!found) {
      const bytes = fetchBytes("columns/" + encodeURIComponent(name));
      this.columns.set(name, (found = bytes.then((buffer) => new Float32Array(buffer))));
      found.catch(() => this.columns.delete(name));
    }
    return found;
  }

  async mapNames(): Promise<string[]> {
    return (await fetchJson<{ maps: string[] }>("maps")).maps;
  }

  async map(name: string): Promise<DensityMap> {
    return readMap(await fetchBytes("maps/" + encodeURIComponent(name)));
  }

  private show = (answer: Answer) => this.onAnswer(answer, performance.now() - this.lastStarted);
  private lastStarted = 0;

  private flush(): void {
    if (!this.queue || this.sent.size >= AT_ONCE || this.socket.readyState !== WebSocket.OPEN)
      return;
    const { frame, asked, done } = this.queue;
    this.queue = null;
    this.send(frame, asked, done);
  }

  private send(frame: ArrayBuffer, started: number, done: (answer: Answer) => void): void {
    const number = ++this.number;
    new DataView(frame).setUint32(0, number, true);
    this.sent.set(number, { started, done });
    this.socket.send(frame);
  }

  private hear(data: string | ArrayBuffer): void {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.changed) return this.onChange();
      if (message.task) return this.onTask(message.task);
      this.acts.get(message.id)?.(message);
      this.acts.delete(message.id);
      return;
    }
    const answer = readAnswer(data);
    const waiting = this.sent.get(answer.number);
    this.sent.delete(answer.number);
    if (waiting) {
      this.lastStarted = waiting.started;
      waiting.done(answer);
    }
    this.flush();
  }
}

async function fetchBytes(address: string): Promise<ArrayBuffer> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(await response.text());
  return response.arrayBuffer();
}

async function fetchJson<T>(address: string): Promise<T> {
  return JSON.parse(new TextDecoder().decode(await fetchBytes(address)));
}

export function packRows(chosen: Uint8Array): string {
  const bytes = new Uint8Array(Math.ceil(chosen.length / 8));
  for (let i = 0; i < chosen.length; i++) if (chosen[i]) bytes[i >> 3] |= 1 << (i & 7);
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768)
    text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}

export function unpackRows(packed: string, count: number): Uint8Array {
  const text = atob(packed),
    chosen = new Uint8Array(count);
  for (let i = 0; i < count; i++) chosen[i] = (text.charCodeAt(i >> 3) >> (i & 7)) & 1;
  return chosen;
}
