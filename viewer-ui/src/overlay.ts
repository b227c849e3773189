/** Maps that were rebuilt from particles, laid over the model. */

import { element, input, options, select } from "./dom";
import { ModelView } from "./modelview";
import { DensityMap, fetchJson, fetchMap } from "./protocol";

export class Overlay {
  private shown: DensityMap | null = null;
  constructor(private view: ModelView, private fail: (text: string) => void) {
    select("overlay").onchange = () => void this.choose();
    input("contour").oninput = () => this.draw();
  }

  /** The maps that there are now; what is shown stays. */
  async refresh(): Promise<void> {
    const names = (await fetchJson<{ maps: string[] }>("maps")).maps, before = select("overlay").value;
    options(select("overlay"), [["", "none"], ...names.map((name) => [name, name] as [string, string])], before);
    element("overlay-label").hidden = !names.length;
  }

  private async choose(): Promise<void> {
    const name = select("overlay").value;
    let map: DensityMap | null = null;
    try { if (name) map = await fetchMap(name); } catch (error) { this.fail(String(error)); select("overlay").value = ""; }
    if (map && select("overlay").value !== name) return; // another was chosen meanwhile
    this.shown = map;
    if (map) input("contour").valueAsNumber = map.contour / map.most;
    element("contour-label").hidden = !map;
    this.draw();
  }

  draw(): void { this.view.showMap(this.shown, this.shown ? input("contour").valueAsNumber * this.shown.most : 0); }
}
