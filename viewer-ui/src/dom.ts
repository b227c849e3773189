/** Elements of the page by id. */

export function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found as T;
}

export const button = (id: string) => element<HTMLButtonElement>(id);
export const input = (id: string) => element<HTMLInputElement>(id);
export const select = (id: string) => element<HTMLSelectElement>(id);

export function make<K extends keyof HTMLElementTagNameMap>(tag: K, text = "", parent?: HTMLElement): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  parent?.append(made);
  return made;
}

export function options(of: HTMLSelectElement, entries: [string, string][], chosen?: string): void {
  of.replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

/** A number with as many digits as one reads. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}
