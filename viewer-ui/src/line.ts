/** A WebSocket to the server that is made anew whenever it breaks. */

import { Transport } from "./transport";

const FIRST = 1000; // milliseconds to the second try; each later pause is twice as long
const LONGEST = 15_000;
const PULSE = 20_000; // milliseconds between questions whether the server is there
const DEAF = 10_000; // milliseconds without an answer to that: a line that does not know it broke
const DEAF_SOON = 3000; // of one that may have slept

type Listener = "server" | "stranger" | "nobody" | "unknown";

export class Line implements Transport {
  onMessage: (data: string | ArrayBuffer) => void = () => {};
  onLost: (told: string) => void = () => {};
  onWait: (told: string) => void = () => {};
  private socket: WebSocket | null = null;
  private pause = FIRST;
  private timer = 0;
  private heard = 0;
  private asking = false;
  private ended = false;

  start(): void {
    this.connect();
    window.setInterval(() => this.probe(DEAF), PULSE);
    addEventListener("online", () => this.now());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.now();
    });
  }

  send(data: string | ArrayBuffer): void {
    this.socket?.send(data);
  }

  /** Only while the server is there: the address of whatever is read holds the token. */
  async read(path: string): Promise<ArrayBuffer> {
    if (this.socket?.readyState !== WebSocket.OPEN)
      throw new Error("there is no connection to the server");
    const response = await fetch(path);
    if (!response.ok) throw new Error(await response.text());
    return response.arrayBuffer();
  }

  /** See at once whether the server is there, without waiting for the end of a pause. */
  now(): void {
    if (this.socket) return this.probe(DEAF_SOON);
    this.pause = FIRST;
    void this.retry();
  }

  /** For good. */
  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
    if (this.socket) this.drop(this.socket);
  }

  private connect(): void {
    const address = new URL("talk", location.href);
    address.protocol = "ws:";
    const socket = (this.socket = new WebSocket(address));
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => {
      this.heard = performance.now();
      this.pause = FIRST;
      this.onMessage(event.data);
    };
    socket.onclose = () => this.lose(socket);
    this.expect(socket, DEAF);
  }

  private probe(deadline: number): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send('{"id":0,"do":"pulse"}');
    this.expect(this.socket, deadline);
  }

  private expect(socket: WebSocket, deadline: number): void {
    const asked = performance.now();
    window.setTimeout(() => {
      if (this.heard < asked) this.lose(socket);
    }, deadline);
  }

  private lose(socket: WebSocket): void {
    if (this.socket !== socket) return;
    this.drop(socket);
    this.wait("nobody");
  }

  private drop(socket: WebSocket): void {
    socket.onmessage = socket.onclose = null;
    socket.close();
    this.socket = null;
  }

  private wait(found: Listener): void {
    clearTimeout(this.timer);
    if (this.ended) return;
    this.timer = window.setTimeout(() => void this.retry(), this.pause);
    this.onLost(tellLost(this.pause, found));
    this.pause = Math.min(2 * this.pause, LONGEST);
  }

  private async retry(): Promise<void> {
    if (this.socket || this.asking || this.ended) return;
    clearTimeout(this.timer);
    this.asking = true;
    const found = await whoListens();
    this.asking = false;
    if (found === "server") this.connect();
    else this.wait(found);
  }
}

function tellLost(pause: number, found: Listener): string {
  if (found === "stranger")
    return "another program has the server's port: open the address that cryomix view prints";
  if (found === "unknown") return "no connection: load this page again when the server is there";
  return `no connection, next try in ${Math.round(pause / 1000)} s; if the server has ended, start cryomix view again`;
}

/**
 * The token is part of every other address, so it is sent only to a server that has shown to know
 * it: while ours is away, another user of its machine may have taken the port.
 */
async function whoListens(): Promise<Listener> {
  if (!crypto.subtle) return "unknown";
  const challenge = hex(crypto.getRandomValues(new Uint8Array(16)));
  let answer: Response;
  try {
    answer = await fetch(`/proof/${challenge}`, { signal: AbortSignal.timeout(5000) });
  } catch {
    return "nobody";
  }
  const proof = await answer.text().catch(() => "");
  return answer.ok && proof === (await prove(challenge)) ? "server" : "stranger";
}

async function prove(challenge: string): Promise<string> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const token = location.pathname.split("/")[1];
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes(token), algorithm, false, ["sign"]);
  const proof = await crypto.subtle.sign("HMAC", key, bytes(`cryomix view ${challenge}`));
  return hex(new Uint8Array(proof));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
