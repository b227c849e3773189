/** Maps that were rebuilt from particles, laid over the model. */

import { Connection } from "./connection";
import { Page, options } from "./dom";
import { ModelView } from "./modelview";
import { DensityMap } from "./protocol";

export class Overlay {
  onChoose: (name: string) => void = () => {};
  onOffer: (curves: string[]) => void = () => {};
  private shown: DensityMap | null = null;
  private asked = 0; // lists
  private wanted = ""; // to be shown with the next list
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
    const asked = ++this.asked;
    let names: string[];
    let curves: string[];
    try {
      ({ maps: names, curves } = await this.connection.rebuilt());
    } catch (error) {
      return this.fail(String(error));
    }
    if (asked !== this.asked) return; // a newer list is on its way
    const before = this.page.select("overlay").value;
    const next = this.wanted || before;
    this.wanted = "";
    options(
      this.page.select("overlay"),
      [["", "none"], ...names.map((name) => [name, name] as [string, string])],
      next,
    );
    this.page.element("overlay-label").hidden = !names.length;
    this.onOffer(curves);
    if (next) await this.choose(before);
  }

  /** Lay a map that was just made over the model. */
  async show(name: string): Promise<void> {
    this.wanted = name;
    await this.refresh();
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
    if (map) this.onChoose(name);
  }

  draw(): void {
    this.view.showMap(
      this.shown,
      this.shown ? this.page.input("contour").valueAsNumber * this.shown.most : 0,
    );
  }
}
