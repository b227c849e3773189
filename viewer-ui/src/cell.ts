/** The explorer in the cell of a notebook, beside others. */

import markup from "../index.html?raw";
import cellStyle from "./cell.css?inline";
import { Comm, WidgetModel } from "./comm";
import { Page } from "./dom";
import { Explorer } from "./explorer";
import { packBits, unpackBits } from "./protocol";
import { start } from "./start";
import SurfaceWorker from "./surface.worker.ts?worker&inline";

const PAGE_STYLES = import.meta.glob<string>(["./*.css", "!./cell.css"], {
  query: "?inline",
  import: "default",
  eager: true,
});
const TELL_EVERY = 120; // milliseconds, at most, while the place moves

/** As anywidget calls it; what comes back ends it. */
export function render({ model, el }: { model: WidgetModel; el: HTMLElement }): () => void {
  let cell = fill(el, model, () => again());
  const again = () => {
    cell.close();
    cell = fill(el, model, () => again());
  };
  return () => cell.close();
}

function fill(el: HTMLElement, model: WidgetModel, reload: () => void): { close(): void } {
  const frame = document.createElement("div");
  const root = frame.attachShadow({ mode: "open" });
  el.replaceChildren(frame);
  frame.className = "cryomix-explorer";
  frame.dataset.theme = isLightText(el) ? "dark" : "light";
  // A notebook deletes cells by letters. Keys that are typed here are meant for what is here.
  frame.dataset.lmSuppressShortcuts = "true";
  for (const event of ["keydown", "keypress", "keyup"])
    frame.addEventListener(event, (typed) => typed.stopPropagation());
  root.append(...contents());
  const page = new Page(root, frame, {
    startWorker: () => new SurfaceWorker(),
    reload,
    entitle: () => {},
    memory: null,
  });
  const comm = new Comm(model);
  void start(page, comm).then((explorer) => {
    share(explorer, comm);
    Object.assign(frame, { explorer }); // for tests
  });
  return {
    close: () => {
      page.close();
      comm.end();
      frame.remove();
    },
  };
}

/** What the page shows, without its head and its script. */
function contents(): Node[] {
  const style = document.createElement("style");
  style.textContent = [...Object.values(PAGE_STYLES), cellStyle].map(forCell).join("\n");
  const body = document.createElement("div");
  body.className = "body";
  const parsed = new DOMParser().parseFromString(markup, "text/html");
  body.append(...Array.from(parsed.body.children).filter((child) => child.tagName !== "SCRIPT"));
  return [style, body];
}

/** The root of a cell is not that of the document, nor are its letters as large. */
function forCell(style: string): string {
  return style
    .replace(/:root(\[[^\]]*\])?/g, (_, theme) => (theme ? `:host(${theme})` : ":host"))
    .replace(/(^|[}\s])body(?=[\s{])/g, "$1.body")
    .replace(/([\d.]+)rem\b/g, "calc($1 * var(--rem))");
}

/** Of the notebook: then its ground is dark. A cell may be filled before it has its place. */
function isLightText(el: HTMLElement): boolean {
  const { color } = getComputedStyle(el.isConnected ? el : document.body);
  const [red, green, blue] = color.match(/[\d.]+/g)!.map(Number);
  return 0.3 * red + 0.59 * green + 0.11 * blue > 128;
}

/** What the user chooses and where he goes, to Python, and back. */
function share(explorer: Explorer, comm: Comm): void {
  const { map, motion, job } = explorer;
  let put = "";
  let due = 0;
  explorer.onShow = (answer) => {
    if (answer.latent.join() === put) return;
    put = "";
    due ||= window.setTimeout(() => {
      due = 0;
      if (!put) comm.tell("shown", motion.current!.latent.slice().buffer);
    }, TELL_EVERY);
  };
  explorer.onChoose = () => comm.tell("chosen", packBits(map.selection.chosen).buffer);
  comm.onPut((kind, bytes) => {
    if (kind === "chosen") {
      const tell = explorer.onChoose;
      explorer.onChoose = () => {};
      map.selection.apply(unpackBits(new Uint8Array(bytes), job.particles), "replace");
      explorer.onChoose = tell;
      return;
    }
    const latent = new Float32Array(bytes);
    put = latent.join();
    motion.goToLatent(Array.from(latent));
  });
}
