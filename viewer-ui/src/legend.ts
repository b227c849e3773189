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
      entry.append(`${shade.info.title} ${k}`);
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

interface Ramp {
  title: string;
  of: (t: number) => Rgb;
  low: string;
  high: string;
}
interface Swatches {
  swatches: { name: string; color: string }[];
}

/** What is to be said of the colours of the molecule and its arrows. */
export function modelMeaning(view: ModelView, reference: string): (Ramp | Swatches)[] {
  const said: (Ramp | Swatches)[] = [];
  const held = view.fixedName === null ? "" : `, ${view.fixedName} held still`;
  if (view.arrows)
    said.push({
      title: `A to B, Å; arrows × ${view.arrows.scale}${held}`,
      of: motion,
      low: "0",
      high: short(view.quiver.longest),
    });
  if (view.tint === "displacement")
    said.push({
      title: `displacement from ${reference}, Å${held}`,
      of: motion,
      low: "0",
      high: short(view.most),
    });
  if (view.tint === "amplitude")
    said.push({
      title: `amplitude less ${reference}'s, of a full one`,
      of: diverging,
      low: "−1",
      high: "+1",
    });
  if (view.tint === "domain")
    said.push({
      swatches: view.domains.list.map(({ name, color }) => ({
        name,
        color: color ? `rgb(${color.join(",")})` : view.page.ink("--molecule"),
      })),
    });
  return said;
}

export function modelLegend(legend: HTMLElement, view: ModelView, reference: string): void {
  legend.replaceChildren();
  for (const each of modelMeaning(view, reference)) {
    if ("of" in each) ramp(legend, each.title, each.of, each.low, each.high);
    else {
      const swatches = make("span", "", legend);
      swatches.className = "swatches";
      for (const { name, color } of each.swatches) {
        const entry = make("span", "", swatches);
        make("i", "", entry).style.background = color;
        entry.append(name);
      }
    }
  }
}
