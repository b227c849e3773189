/** The job as the page sees it: asked for models, told of changes, and found again. */

import { Answer, Curve, DensityMap, Job, LATENT, Task, readAnswer, readMap } from "./protocol";
import { Transport } from "./transport";

const AT_ONCE = 2; // questions under way; of the others only the newest is kept
const TRIES = 3; // a question that ends the connection each time is not asked for ever
const HEAD = 12; // bytes of a question before its numbers
// The same if they are done twice.
const HARMLESS = new Set(["nearest", "keep", "measure", "lay path", "measure path"]);
const LOST = "there is no connection to the server";
const UNSURE = "the connection broke: see among the commands whether that was begun";
const OUTDATED = "cryomix was changed meanwhile: load this page again";

interface Question {
  kind: number;
  axes: string[]; // names of columns; their places in the list may change
  value: ArrayLike<number>;
  started: number;
  done: (answer: Answer) => void;
  newest: boolean; // a newer one takes its place
  version: number; // of the job, when it was sent
  tries: number;
}

interface Act {
  message: { do: string };
  done: (message: any) => void;
}

export class Connection {
  onAnswer: (answer: Answer, milliseconds: number) => void = () => {};
  onTask: (task: Task) => void = () => {};
  /** The job as it is now: after each change, and whenever the server was found again. */
  onJob: (job: Job) => void = () => {};
  onLost: () => void = () => {};
  /** What there is to say of the line; nothing while all is well. */
  onState: (text: string, isLost: boolean) => void = () => {};
  private told: Job | null = null;
  private ready = false; // the server is there, and has told how the job is
  private behind = false; // the server has another version, and will tell it at once
  private number = 0;
  private sent = new Map<number, Question>();
  private queue: Question | null = null;
  private held: Question[] = []; // to be asked when the server is there
  private acts = new Map<number, Act>();
  private acted = 0;
  private columns = new Map<string, Promise<Float32Array>>();
  private opened: (job: Job) => void = () => {};

  constructor(private line: Transport) {}

  /** The job; from then on `onJob` tells how it changes. */
  open(): Promise<Job> {
    this.line.onMessage = (data) => this.hear(data);
    this.line.onLost = (told) => this.lose(told);
    this.line.onWait = (told) => this.onState(told || (this.told?.problem ?? ""), false);
    this.line.start();
    return new Promise((resolve) => (this.opened = resolve));
  }

  /** As the server told it last. */
  get job(): Job {
    return this.told!;
  }

  /** Look for the server at once, without waiting for the end of a pause. */
  retry(): void {
    this.line.now();
  }

  /** Ask for the model at a place; a newer question takes the place of one not sent yet. */
  ask(
    kind: number,
    columns: [number, number],
    value: ArrayLike<number>,
    done?: (answer: Answer) => void,
  ): void {
    const names = this.told!.columns.map((info) => info.name);
    const axes = kind === LATENT ? [] : columns.map((number) => names[number]);
    const show = (answer: Answer, started: number) =>
      this.onAnswer(answer, performance.now() - started);
    const started = performance.now();
    this.queue = {
      ...{ kind, axes, value, started, newest: true, version: 0, tries: 0 },
      done: done ?? ((answer) => show(answer, started)),
    };
    this.flush();
  }

  /** The model at a latent, whatever else is asked for meanwhile. */
  modelAt(latent: ArrayLike<number>): Promise<Answer> {
    const started = performance.now();
    return new Promise((done) => {
      this.held.push({
        ...{ kind: LATENT, axes: [], value: latent, started, done },
        ...{ newest: false, version: 0, tries: 0 },
      });
      this.flush();
    });
  }

  act(message: { do: string; [name: string]: unknown }): Promise<any> {
    if (!this.ready) return Promise.resolve({ error: LOST });
    const id = ++this.acted;
    return new Promise((done) => {
      this.acts.set(id, { message, done });
      this.sendAct(id, message);
    });
  }

  /** Scores per epoch, as they are now. */
  history(): Promise<Record<string, number[]>> {
    return this.readJson("history");
  }

  /** One value per particle; fetched once for each version of the job. */
  column(name: string): Promise<Float32Array> {
    let found = this.columns.get(name);
    if (!found) {
      found = this.fetchColumn(name);
      this.columns.set(name, found);
      const forget = () => this.columns.get(name) === found && this.columns.delete(name);
      found.catch(forget);
    }
    return found;
  }

  /** Names of the groups of a column that has them, the largest first. */
  async groups(name: string): Promise<string[]> {
    return (await this.readJson<{ names: string[] }>("groups/" + encodeURIComponent(name))).names;
  }

  /** Maps that there are now, and those of which it is known how far their halves agree. */
  rebuilt(): Promise<{ maps: string[]; curves: string[] }> {
    return this.readJson("maps");
  }

  curve(name: string): Promise<Curve> {
    return this.readJson("curves/" + encodeURIComponent(name));
  }

  async map(name: string): Promise<DensityMap> {
    return readMap(await this.line.read("maps/" + encodeURIComponent(name)));
  }

  private async fetchColumn(name: string): Promise<Float32Array> {
    const values = new Float32Array(await this.line.read("columns/" + encodeURIComponent(name)));
    const { particles } = this.told!;
    if (values.length !== particles)
      throw new Error(`${name}: ${values.length} values for ${particles} particles`);
    return values;
  }

  private async readJson<T>(path: string): Promise<T> {
    return JSON.parse(new TextDecoder().decode(await this.line.read(path)));
  }

  private flush(): void {
    if (!this.ready || this.behind) return;
    for (const question of this.held.splice(0)) this.send(question);
    if (!this.queue || this.sent.size >= AT_ONCE) return;
    const question = this.queue;
    this.queue = null;
    this.send(question);
  }

  /** A question that means nothing any more, as its columns have gone, is dropped. */
  private send(question: Question): void {
    const { kind, axes, value } = question;
    const { columns, latents, version } = this.told!;
    const places = axes.map((axis) => columns.findIndex(({ name }) => name === axis));
    if (places.includes(-1) || (kind === LATENT && value.length !== latents)) return;
    if (++question.tries > TRIES) return;
    const frame = new ArrayBuffer(HEAD + 4 * value.length);
    const head = new DataView(frame);
    const number = ++this.number;
    head.setUint32(0, number, true);
    head.setUint32(4, version, true);
    [kind, ...places].forEach((byte, i) => head.setUint8(8 + i, byte));
    for (let i = 0; i < value.length; i++) head.setFloat32(HEAD + 4 * i, value[i], true);
    question.version = version;
    this.sent.set(number, question);
    this.line.send(frame);
  }

  private sendAct(id: number, message: object): void {
    this.line.send(JSON.stringify({ id, version: this.told!.version, ...message }));
  }

  private hear(data: string | ArrayBuffer): void {
    if (typeof data !== "string") return this.hearAnswer(readAnswer(data));
    const message = JSON.parse(data);
    if (message.job) return this.hearJob(message.job);
    if (message.task) return this.onTask(message.task);
    this.acts.get(message.id)?.done(message);
    this.acts.delete(message.id);
  }

  private hearJob(job: Job): void {
    const before = this.told;
    if (before && before.page !== job.page) {
      this.line.end();
      this.ready = false;
      return this.onState(OUTDATED, false);
    }
    if (before?.version !== job.version) this.columns.clear();
    const found = !this.ready;
    this.told = job;
    this.ready = true;
    this.behind = false;
    this.onState(job.problem, false);
    if (before) this.onJob(job);
    else this.opened(job);
    if (found) for (const [id, { message }] of this.acts) this.sendAct(id, message);
    this.flush();
  }

  private hearAnswer(answer: Answer): void {
    const question = this.sent.get(answer.number);
    this.sent.delete(answer.number);
    if (question && !answer.latent.length) {
      // The question is of another version of the job than the server has.
      question.tries = 0;
      this.behind ||= question.version === this.told!.version;
      this.askAgain(question);
    } else question?.done(answer);
    this.flush();
  }

  private askAgain(question: Question): void {
    if (!question.newest) this.held.push(question);
    else if (!this.queue || this.queue.started < question.started) this.queue = question;
  }

  private lose(told: string): void {
    this.onState(told, true);
    if (!this.ready) return;
    this.ready = this.behind = false;
    for (const question of this.sent.values()) this.askAgain(question);
    this.sent.clear();
    for (const [id, { message, done }] of this.acts) {
      if (HARMLESS.has(message.do)) continue;
      done({ error: UNSURE });
      this.acts.delete(id);
    }
    this.onLost();
  }
}
