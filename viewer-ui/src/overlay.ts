/** Maps that were rebuilt from particles, laid over the model. */

import { Connection } from "./connection";
import { Page, options } from "./dom";
import { ModelView } from "./modelview";
import { DensityMap } from "./protocol";

export class Overlay {
  private shown: DensityMap | null = null;
  constructor(
    private page: Page,
    private connection: Connection,
    private view: ModelView,
    private fail: (text: string) => void,
  ) {
    this.page.select("overlay").onchange = () => void this.choose();
    this.page.input("contour").oninput = () => this.draw();
  }

  /** The maps that there are now, each as it is now; the level stays. */
  async refresh(): Promise<void> {
    let names: string[];
    try {
      names = await this.connection.mapNames();
    } catch (error) {
      return this.fail(String(error));
    }
    const before = this.page.select("overlay").value;
    options(
      this.page.select("overlay"),
      [["", "none"], ...names.map((name) => [name, name] as [string, string])],
      before,
    );
    this.page.element("overlay-label").hidden = !names.length;
    if (before) await this.choose(before);
  }

  private async choose(before = ""): Promise<void> {
    const name = this.page.select("overlay").value;
    let map: DensityMap | null = null;
    try {
      if (name) map = await this.connection.map(name);
    } catch (error) {
      this.fail(String(error));
      this.page.select("overlay").value = "";
    }
    if (map && this.page.select("overlay").value !== name) return; // another was chosen meanwhile
    this.shown = map;
    if (map && name !== before) this.page.input("contour").valueAsNumber = map.contour / map.most;
    this.page.element("contour-label").hidden = !map;
    this.draw();
  }

  draw(): void {
    this.view.showMap(
      this.shown,
      this.shown ? this.page.input("contour").valueAsNumber * this.shown.most : 0,
    );
  }
}
