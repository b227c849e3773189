/** Maps that were rebuilt from particles, laid over the model. */

import { Connection } from "./connection";
import { Page, options } from "./dom";
import { ModelView } from "./modelview";
import { DensityMap } from "./protocol";

export class Overlay {
  onChoose: (name: string) => void = () => {};
  onOffer: (curves: string[]) => void = () => {};
  onNames: () => void = () => {};
  private shown: DensityMap | null = null;
  private level = 0;
  private kept = new Map<string, Promise<DensityMap>>(); // of a path that is played
  private names = new Set<string>();
  private asked = 0; // lists
  private wanted = ""; // to be shown with the next list
  constructor(
    private page: Page,
    private connection: Connection,
    private view: ModelView,
    private fail: (text: string) => void,
  ) {
    this.page.select("overlay").onchange = () => void this.choose();
    this.page.input("contour").oninput = () => {
      if (this.shown) this.level = this.page.input("contour").valueAsNumber * this.shown.most;
      this.draw();
    };
  }

  has(name: string): boolean {
    return this.names.has(name);
  }

  /** Show one of the maps of a path; the level stays, so that they can be compared. */
  follow(name: string): void {
    if (this.page.select("overlay").value === name) return;
    this.page.select("overlay").value = name;
    if (!this.kept.has(name)) {
      const map = this.connection.map(name);
      this.kept.set(name, map);
      map.catch(() => this.kept.delete(name));
    }
    void this.choose(this.shown !== null, this.kept.get(name));
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
    this.names = new Set(names);
    this.kept.clear();
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
    this.onNames();
    if (next) await this.choose(before === next);
  }

  /** Lay a map that was just made over the model. */
  async show(name: string): Promise<void> {
    this.wanted = name;
    await this.refresh();
  }

  private async choose(levelStays = false, read?: Promise<DensityMap>): Promise<void> {
    const name = this.page.select("overlay").value;
    let map: DensityMap | null = null;
    try {
      if (name) map = await (read ?? this.connection.map(name));
    } catch (error) {
      this.fail(String(error));
      this.page.select("overlay").value = "";
    }
    if (map && this.page.select("overlay").value !== name) return; // another was chosen meanwhile
    this.shown = map;
    if (map && !levelStays) this.level = map.contour;
    if (map) this.page.input("contour").valueAsNumber = this.level / map.most;
    this.page.element("contour-label").hidden = !map;
    this.draw();
    if (map) this.onChoose(name);
  }

  draw(): void {
    this.view.showMap(this.shown, this.shown ? this.level : 0);
  }
}
