/** Everything that was done, as a command line that can be copied. */

import { Page, make } from "./dom";
import { Connection } from "./connection";
import { Job, Task } from "./protocol";

export class CommandList {
  onDone: (task: Task) => void = () => {};
  onShowMap: (name: string) => void = () => {};
  onShowCurve: (name: string) => void = () => {};
  private rows = new Map<string, HTMLLIElement>();
  private server = ""; // whose tasks are numbered
  constructor(
    private page: Page,
    private connection: Connection,
  ) {
    connection.onTask = (task) => this.task(task);
  }

  add(command: string, note = ""): void {
    this.row(command, command, note, false);
  }

  /** In place of what was there under `key`. */
  put(key: string, command: string, note: string): void {
    this.rows.get(key)?.remove();
    this.rows.delete(key);
    this.row(key, command, note, false);
  }

  /** The tasks of the server of now; those of one that has ended have ended with it. */
  renew(job: Job): void {
    if (this.server !== job.server)
      for (const row of this.rows.values()) if (row.dataset.state === "running") end(row);
    this.server = job.server;
    job.tasks.forEach((task) => this.task(task));
  }

  task(task: Task): void {
    const note = noteOf(task);
    const key = `task ${task.number} ${this.server}`;
    const row = this.row(key, task.command, note, task.state === "running");
    const before = row.dataset.state;
    row.dataset.state = task.state;
    this.bar(row, task);
    if (task.state === "done" && before !== "done") {
      this.offer(row, task);
      this.onDone(task);
    }
    row.querySelector<HTMLButtonElement>(".cancel")!.onclick = () =>
      this.connection.act({ do: "cancel", task: task.number });
  }

  /** How far a running command has come. */
  private bar(row: HTMLLIElement, task: Task): void {
    let bar = row.querySelector("progress");
    if (task.share === null || task.state !== "running") return bar?.remove();
    if (!bar) {
      bar = make("progress");
      bar.setAttribute("aria-label", `progress of ${task.command}`);
      row.querySelector("code")!.append(bar);
    }
    bar.value = task.share;
  }

  /** Look at what a command made. */
  private offer(row: HTMLLIElement, { makes }: Task): void {
    if (!makes) return;
    const map = make("button", "Show map", row);
    map.onclick = () => this.onShowMap(makes);
    const curve = make("button", "FSC", row);
    curve.title = "how far its half maps agree";
    curve.onclick = () => this.onShowCurve(makes);
  }

  private row(key: string, command: string, note: string, running: boolean): HTMLLIElement {
    let row = this.rows.get(key);
    if (!row) {
      row = make("li");
      const code = make("code", command, row);
      make("small", note, code);
      const copy = make("button", "Copy", row);
      copy.hidden = !navigator.clipboard; // of pages from elsewhere without encryption
      copy.onclick = async () => {
        await navigator.clipboard.writeText(command);
        copy.textContent = "Copied";
        setTimeout(() => (copy.textContent = "Copy"), 1200);
      };
      make("button", "Cancel", row).className = "cancel";
      this.rows.set(key, row);
      this.page.element("commands").prepend(row);
    }
    row.querySelector("small")!.textContent = note;
    row.querySelector<HTMLButtonElement>(".cancel")!.hidden = !running;
    return row;
  }
}

function end(row: HTMLLIElement): void {
  row.dataset.state = "ended";
  row.querySelector("small")!.textContent = "ended with the server";
  row.querySelector("progress")?.remove();
  row.querySelector<HTMLButtonElement>(".cancel")!.hidden = true;
}

/** One line: what it said last, or how much there is to do. */
function noteOf({ state, line, share, left }: Task): string {
  if (state === "cancelled") return state;
  if (state !== "running" || share === null) return line ? `${state}: ${line}` : state;
  const rest = left === null ? "" : `, about ${duration(left)} left`;
  return `${line.split(":")[0]}: ${Math.round(100 * share)} %${rest}`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
