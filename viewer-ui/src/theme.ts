/** Light or dark: as the system has it, until the user chooses. */

import { Page } from "./dom";

const KEPT = "cryomix-theme";

export function wireTheme(page: Page, redraw: () => void): void {
  const kept = localStorage.getItem(KEPT);
  if (kept) page.frame.dataset.theme = kept;
  page.button("theme").onclick = () => {
    page.frame.dataset.theme = page.isDark() ? "light" : "dark";
    localStorage.setItem(KEPT, page.frame.dataset.theme);
    redraw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
