/** What the colours of the map and of the molecule mean. */

import {
  CATEGORIES,
  Rgb,
  cyclic,
  density,
  diverging,
  gradient,
  motion,
  sequential,
} from "./colors";
import { make, short } from "./dom";
import { LatentMap } from "./latentmap";
import { ModelView } from "./modelview";

function ramp(
  legend: HTMLElement,
  title: string,
  of: (t: number) => Rgb,
  low: string,
  high: string,
): void {
  make("span", title, legend);
  const bar = make("span", "", legend);
  bar.className = "ramp";
  bar.style.background = gradient(of);
  const ends = make("span", "", legend);
  ends.className = "ends";
  make("span", low, ends);
  make("span", high, ends);
}

export function mapLegend(legend: HTMLElement, map: LatentMap): void {
  legend.replaceChildren();
  const shade = map.shade;
  if (!shade) {
    if (map.most > 1)
      ramp(
        legend,
        "particles per spot, logarithmic",
        density(map.page.isDark()),
        "1",
        short(map.most),
      );
  } else if (shade.info.kind === "category") {
    const swatches = make("span", "", legend);
    swatches.className = "swatches";
    for (let k = 1; k <= Math.min(shade.high, 24); k++) {
      const entry = make("span", "", swatches),
        dot = make("i", "", entry);
      dot.style.background = `rgb(${CATEGORIES[(k - 1) % CATEGORIES.length].join(",")})`;
      entry.append(shade.info.groups[k - 1] ?? `${shade.info.title} ${k}`);
    }
  } else
    ramp(
      legend,
      shade.info.title,
      shade.info.kind === "angle" ? cyclic : sequential,
      short(shade.low),
      short(shade.high),
    );
}

export function modelLegend(legend: HTMLElement, view: ModelView, reference: string): void {
  legend.replaceChildren();
  if (view.arrows)
    ramp(
      legend,
      `A to B, Å; arrows × ${view.arrows.scale}`,
      motion,
      "0",
      short(view.quiver.longest),
    );
  if (view.tint === "displacement")
    ramp(legend, `displacement from ${reference}, Å`, motion, "0", short(view.most));
  if (view.tint === "amplitude")
    ramp(legend, `amplitude less ${reference}'s, of a full one`, diverging, "−1", "+1");
}
