/** Colour scales that people with any colour vision can read. */

export type Rgb = [number, number, number];

/** Of #rrggbb or #rgb, which style sheets are shortened to. */
export function hexColor(text: string): Rgb {
  const size = (text.length - 1) / 3;
  return [0, 1, 2].map((i) =>
    parseInt(text.slice(1 + i * size, 1 + (i + 1) * size).repeat(3 - size), 16),
  ) as Rgb;
}

// Okabe and Ito's colours, then others between them.
const TEN = [
  "#0072b2",
  "#e69f00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#d55e00",
  "#b8a800",
  "#7b5ea7",
  "#8c6d46",
  "#7f8c8d",
].map(hexColor);
// What stays where it is looks like the plain molecule; lightness tells the rest to everyone.
const MOTION = ["#a9b6c1", "#f0c44c", "#ee8a12", "#d24a0f", "#b01545"].map(hexColor);
const mixed = (colors: Rgb[], other: number) =>
  colors.map((color) => color.map((part) => 0.55 * part + 0.45 * other) as Rgb);
// Of more than ten groups the eleventh is as the first, but lighter, the next ten are darker.
export const CATEGORIES = [...TEN, ...mixed(TEN, 255), ...mixed(TEN, 0)];
export const OTHERS: Rgb = [140, 140, 140];
// Anchors of viridis and of a blue-white-orange scale; a cyclic scale that ends as it begins.
const VIRIDIS = [
  "#440154",
  "#482878",
  "#3e4a89",
  "#31688e",
  "#26838f",
  "#1f9d8a",
  "#6cce5a",
  "#b6de2b",
  "#fee825",
].map(hexColor);
const CYCLIC = ["#2f1436", "#5e43a5", "#6492bf", "#d4d6d9", "#c58a70", "#8a2c50", "#2f1436"].map(
  hexColor,
);
const DIVERGING = ["#0b559f", "#5aa2cf", "#e8ecef", "#f0a35e", "#b34700"].map(hexColor);
const DENSITY_LIGHT = ["#c9dcec", "#7fb2d6", "#2b7fb8", "#0b4a86", "#071d49"].map(hexColor);
const DENSITY_DARK = ["#1d3850", "#1f5f94", "#3c9ad0", "#9ad3ee", "#f4fbff"].map(hexColor);

function scale(stops: Rgb[]): (t: number) => Rgb {
  const table: Rgb[] = [];
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1),
      k = Math.min(stops.length - 2, Math.floor(place)),
      f = place - k;
    table.push([0, 1, 2].map((c) => stops[k][c] + f * (stops[k + 1][c] - stops[k][c])) as Rgb);
  }
  return (t) => table[Math.max(0, Math.min(255, Math.round(255 * t)))];
}

export const sequential = scale(VIRIDIS),
  motion = scale(MOTION),
  cyclic = scale(CYCLIC),
  diverging = scale(DIVERGING);
const light = scale(DENSITY_LIGHT),
  dark = scale(DENSITY_DARK);
export const density = (onDark: boolean) => (onDark ? dark : light);

export function gradient(of: (t: number) => Rgb): string {
  const stops = Array.from(
    { length: 12 },
    (_, i) =>
      `rgb(${of(i / 11)
        .map(Math.round)
        .join(",")})`,
  );
  return `linear-gradient(90deg, ${stops.join(",")})`;
}
