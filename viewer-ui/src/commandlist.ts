/** Everything that was done, as a command line that can be copied. */

import { Page, make } from "./dom";
import { Connection } from "./connection";
import { Job, Task } from "./protocol";

export class CommandList {
  onDone: (task: Task) => void = () => {};
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
    const note = `${task.state}${task.line && task.state !== "cancelled" ? ": " + task.line : ""}`;
    const row = this.row(
      `task ${task.number} ${this.server}`,
      task.command,
      note,
      task.state === "running",
    );
    const before = row.dataset.state;
    row.dataset.state = task.state;
    if (task.state === "done" && before !== "done") this.onDone(task);
    row.querySelector<HTMLButtonElement>(".cancel")!.onclick = () =>
      this.connection.act({ do: "cancel", task: task.number });
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
  row.querySelector<HTMLButtonElement>(".cancel")!.hidden = true;
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
