/** Light or dark: as the system or the notebook has it, until the user chooses. */

import { Page } from "./dom";

const KEPT = "cryomix-theme";

export function wireTheme(page: Page, redraw: () => void): void {
  const kept = page.host.memory?.getItem(KEPT);
  if (kept) page.frame.dataset.theme = kept;
  page.button("theme").onclick = () => {
    page.frame.dataset.theme = page.isDark() ? "light" : "dark";
    page.host.memory?.setItem(KEPT, page.frame.dataset.theme);
    redraw();
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", redraw);
  page.onClose(() => system.removeEventListener("change", redraw));
}
