/** Maps that were rebuilt from particles, laid over the model. */

import { Page, options } from "./dom";
import { ModelView } from "./modelview";
import { Connection, DensityMap } from "./protocol";

export class Overlay {
  private shown: DensityMap | null = null;
  private level = 0;
  private kept = new Map<string, Promise<DensityMap>>(); // of a path that is played
  private names = new Set<string>();
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
    void this.choose(true);
  }

  /** The maps that there are now; what is shown stays. */
  async refresh(): Promise<void> {
    const names = await this.connection.mapNames();
    this.names = new Set(names);
    this.kept.clear();
    const before = this.page.select("overlay").value;
    options(
      this.page.select("overlay"),
      [["", "none"], ...names.map((name) => [name, name] as [string, string])],
      before,
    );
    this.page.element("overlay-label").hidden = !names.length;
  }

  private async choose(follows = false): Promise<void> {
    const name = this.page.select("overlay").value;
    let map: DensityMap | null = null;
    try {
      if (name) map = await (follows ? this.keep(name) : this.connection.map(name));
    } catch (error) {
      this.fail(String(error));
      this.page.select("overlay").value = "";
    }
    if (map && this.page.select("overlay").value !== name) return; // another was chosen meanwhile
    if (map && !(follows && this.shown)) this.level = map.contour;
    this.shown = map;
    if (map) this.page.input("contour").valueAsNumber = this.level / map.most;
    this.page.element("contour-label").hidden = !map;
    this.draw();
  }

  private keep(name: string): Promise<DensityMap> {
    let found = this.kept.get(name);
    if (!found) {
      this.kept.set(name, (found = this.connection.map(name)));
      found.catch(() => this.kept.delete(name));
    }
    return found;
  }

  draw(): void {
    this.view.showMap(this.shown, this.shown ? this.level : 0);
  }
}
