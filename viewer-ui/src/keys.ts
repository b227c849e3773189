/** Keys, and the list of them. */

import { Page, make } from "./dom";
import type { Explorer } from "./explorer";
import { Tool } from "./latentmap";

const KEYS: [string, string][] = [
  ["arrows", "on the map: move the place; on the molecule: turn it; with Shift: further"],
  ["+  −  0", "zoom, and back"],
  ["X  Y  Z", "on the molecule: look from the positive end of an axis"],
  ["C  [  ]  {  }", "on the molecule: cut it; front plane nearer, deeper; thinner, thicker"],
  ["D  L  R  P", "drag, lasso, rectangle, pan"],
  ["O  T", "draw a circle from its centre (with Shift: an ellipse), or a line, as a path"],
  ["Enter", "with these: a circle about the place, the place as the next point of a line"],
  ["Shift, Alt", "with a lasso, a rectangle or the legend: add, take away"],
  ["A  B", "pin this place as A or B"],
  ["space", "play the path"],
  [",  .", "step along the path, back and on"],
  ["N", "choose the nearest particles"],
  ["Ctrl Z", "undo a selection"],
  ["I", "choose all others instead"],
  ["Esc", "choose none"],
];
const TOOLS: Record<string, Tool> = {
  d: "drag",
  l: "lasso",
  r: "rectangle",
  p: "pan",
  o: "circle",
  t: "line",
};
// Where letters are typed, keys mean themselves.
const TYPED = "input:not([type=range]):not([type=checkbox]), select, dialog *";

export function wireHelp(page: Page): void {
  for (const [key, text] of KEYS) {
    const row = make("tr", "", page.element("keys"));
    make("td", key, row);
    make("td", text, row);
  }
  const dialog = page.element<HTMLDialogElement>("help");
  page.button("help-button").onclick = () => dialog.showModal();
}

export function wireKeys({ page, map, motion, controls }: Explorer): void {
  page.frame.addEventListener("keydown", (event) => {
    const target = event.composedPath()[0] as HTMLElement;
    const key = event.key.toLowerCase();
    if (target.matches(TYPED)) return;
    if ((event.ctrlKey || event.metaKey) && key === "z") map.selection.undo();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (TOOLS[key]) controls.choose(TOOLS[key]);
    else if (key === "a" || key === "b") motion.pin(key);
    else if (key === "n") page.button("nearest").click();
    else if (key === "i") map.selection.invert();
    else if (key === "," || key === ".") motion.player.step(key === "." ? 1 : -1);
    else if (key === "escape") {
      map.selection.clear();
      map.forgetStops();
    } else if (key === " " && !target.matches("button, input")) motion.toggle();
    else return;
    event.preventDefault();
  });
}
