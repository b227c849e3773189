/** What the colours of the molecule mean. */

import { Rgb, diverging, gradient, motion } from "./colors";
import { make, short } from "./dom";
import { ModelView } from "./modelview";

export function ramp(
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
