/** The menu of the molecule: from where it is looked at, how it is cut, and its picture. */

import type { Explorer } from "./explorer";
import { savePicture } from "./picture";
import { Cut } from "./slab";

const CUTS: Cut[] = ["off", "view", "molecule"];
const STEP = 0.02; // of the molecule's radius, per stroke of a key

export function wireMenu(explorer: Explorer): void {
  const { page, view } = explorer;
  const menu = page.element<HTMLDetailsElement>("more");
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary")!.focus();
    event.stopPropagation(); // elsewhere Esc chooses no particles
  });
  page.element("model").addEventListener("pointerdown", () => (menu.open = false));
  for (const button of page.all<HTMLButtonElement>("[data-side]"))
    button.onclick = () => view.orbit.side(button.dataset.side!);
  page.button("face").onclick = () => view.orbit.side("z");
  page.button("picture").onclick = () => void savePicture(explorer);
  wireSlab(explorer);
}

function wireSlab({ page, view }: Explorer): void {
  const { slab } = view;
  const cut = page.select("cut"),
    front = page.input("front"),
    thick = page.input("thickness");
  const refresh = () => {
    slab.cut = cut.value as Cut;
    slab.front = -front.valueAsNumber * slab.reach;
    slab.thickness = thick.valueAsNumber * slab.reach;
    page.element("slab").hidden = !slab.isCut;
    const back = slab.front - slab.thickness;
    page.element("slab-ends").textContent =
      `${slab.front.toFixed(0)} to ${back.toFixed(0)} Å from the middle`.replaceAll("-", "−");
    view.draw();
  };
  cut.onchange = front.oninput = thick.oninput = refresh;
  page.element("model").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey) return; // AltGr types brackets on some keyboards
    const { key } = event;
    if (key.toLowerCase() === "c") cut.value = CUTS[(CUTS.indexOf(slab.cut) + 1) % CUTS.length];
    else if (key === "]") front.valueAsNumber += STEP;
    else if (key === "[") front.valueAsNumber -= STEP;
    else if (key === "}") thick.valueAsNumber += STEP;
    else if (key === "{") thick.valueAsNumber -= STEP;
    else return;
    event.preventDefault();
    refresh();
  });
  refresh();
}
