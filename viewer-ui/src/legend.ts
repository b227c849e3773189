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
