/** Circles and lines as they are drawn on the map. */

export type Place = [number, number];
const SPACING = 26; // points of the screen between those that a line is reduced to
const MOST = 16; // so many are left at most: the way between them is smooth
const CLOSE = 14; // points of the screen: a line that ends so near its beginning goes round
const AROUND = 24; // places that a circle is reduced to where it is no circle of latents

/** Half axes of the circle about `center` through `to`; `free`: of the ellipse in the box up to `to`. */
export function halfAxes(center: Place, to: Place, free: boolean): Place {
  const [x, y] = [Math.abs(to[0] - center[0]), Math.abs(to[1] - center[1])];
  return free ? [x, y] : [Math.hypot(x, y), Math.hypot(x, y)];
}

export function ellipse([x, y]: Place, [a, b]: Place, count = AROUND): Place[] {
  return Array.from({ length: count }, (_, i) => {
    const angle = (2 * Math.PI * i) / count;
    return [x + a * Math.cos(angle), y + b * Math.sin(angle)];
  });
}

/** A drawn line as a few points evenly far apart; of one that goes round, the last is not the first. */
export function reduceLine(points: Place[]): { points: Place[]; closed: boolean } {
  const length = [0];
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1], points[i]];
    length.push(length[i - 1] + Math.hypot(b[0] - a[0], b[1] - a[1]));
  }
  const whole = length[length.length - 1];
  const [first, last] = [points[0], points[points.length - 1]];
  const closed = whole > 8 * CLOSE && Math.hypot(first[0] - last[0], first[1] - last[1]) < CLOSE;
  const count = Math.max(3, Math.min(MOST, Math.round(whole / SPACING) + 1));
  const reduced: Place[] = [];
  let i = 1;
  for (let k = 0; k < count; k++) {
    const wanted = (whole * k) / (count - 1);
    while (i < points.length - 1 && length[i] < wanted) i++;
    const f = (wanted - length[i - 1]) / (length[i] - length[i - 1] || 1);
    const [a, b] = [points[i - 1], points[i]];
    reduced.push([a[0] + f * (b[0] - a[0]), a[1] + f * (b[1] - a[1])]);
  }
  if (closed) reduced.pop();
  return { points: reduced, closed };
}
