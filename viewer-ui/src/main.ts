/** One file for both: the page that `cryomix view` serves, and the module of a notebook's widget. */

import { render } from "./cell";
import { Page } from "./dom";
import { Line } from "./line";
import { start } from "./start";

if (document.documentElement.dataset.page === "cryomix") {
  const page = new Page(document, document.documentElement, {
    startWorker: () =>
      new Worker(new URL("./surface.worker.ts", import.meta.url), { type: "module" }),
    reload: () => location.reload(),
    entitle: (name) => (document.title = `${name} · cryomix`),
    memory: localStorage,
  });
  void start(page, new Line());
}

export default { render };
