/** Elements by id, of a whole page or of one widget among others. */

/** What differs between a page of its own and the cell of a notebook. */
export interface Host {
  startWorker(): Worker;
  /** Begin anew, of a job that has become another. */
  reload(): void;
  entitle(name: string): void;
  /** Of what the user prefers; none where the page is a guest. */
  memory: Storage | null;
}

export class Page {
  private closing: (() => void)[] = [];

  /** `frame` carries the theme: the page's html element, or what holds the widget. */
  constructor(
    private root: Document | ShadowRoot,
    readonly frame: HTMLElement,
    readonly host: Host,
  ) {}

  /** What must not go on when the page has gone. */
  onClose(stop: () => void): void {
    this.closing.push(stop);
  }

  close(): void {
    for (const stop of this.closing.splice(0)) stop();
  }

  element<T extends HTMLElement>(id: string): T {
    const found = this.root.getElementById(id);
    if (!found) throw new Error(`the page lacks #${id}`);
    return found as T;
  }

  button(id: string): HTMLButtonElement {
    return this.element(id);
  }

  input(id: string): HTMLInputElement {
    return this.element(id);
  }

  select(id: string): HTMLSelectElement {
    return this.element(id);
  }

  all<T extends HTMLElement>(selector: string): NodeListOf<T> {
    return this.root.querySelectorAll<T>(selector);
  }

  isDark(): boolean {
    const chosen = this.frame.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  /** A colour of the style sheet, in the theme of now. */
  ink(name: string): string {
    return getComputedStyle(this.frame).getPropertyValue(name).trim();
  }
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  text = "",
  parent?: HTMLElement,
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  parent?.append(made);
  return made;
}

export function options(of: HTMLSelectElement, entries: [string, string][], chosen?: string): void {
  of.replaceChildren(
    ...entries.map(([value, text]) => new Option(text, value, false, value === chosen)),
  );
}

/** A number with as many digits as one reads. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
    ? value.toExponential(1)
    : String(Number(value.toPrecision(3)));
}
