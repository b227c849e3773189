/** Density of a Gaussian model on a grid, and the surface where it has one level (surface nets). */

interface Place {
  id: number;
  level: number;
  size: number;
  low: [number, number, number];
  step: number;
}
export interface Splat extends Place {
  center: Float32Array;
  amplitude: Float32Array;
  width: Float32Array;
  color: Float32Array;
}
export interface Given extends Place {
  value: Float32Array;
  plain: [number, number, number];
}
export type Grid = Splat | Given;
const CUT = 3; // widths beyond which a Gaussian is nothing

function splat(o: Splat): { value: Float32Array; tint: Float32Array } {
  const n = o.size,
    value = new Float32Array(n * n * n),
    tint = new Float32Array(3 * n * n * n);
  for (let g = 0; g < o.amplitude.length; g++) {
    const w = o.width[g],
      amplitude = o.amplitude[g],
      reach = CUT * w;
    const place = [0, 1, 2].map((a) => o.center[3 * g + a] - o.low[a]);
    const from = place.map((p) => Math.max(0, Math.ceil((p - reach) / o.step)));
    const to = place.map((p) => Math.min(n - 1, Math.floor((p + reach) / o.step)));
    const factor = [0, 1, 2].map((a) => {
      const row = new Float32Array(Math.max(0, to[a] - from[a] + 1));
      for (let i = 0; i < row.length; i++) {
        const d = (from[a] + i) * o.step - place[a];
        row[i] = Math.exp((-0.5 * d * d) / (w * w));
      }
      return row;
    });
    const r = o.color[3 * g],
      gr = o.color[3 * g + 1],
      b = o.color[3 * g + 2];
    for (let z = from[2]; z <= to[2]; z++)
      for (let y = from[1]; y <= to[1]; y++) {
        const zy = amplitude * factor[2][z - from[2]] * factor[1][y - from[1]];
        let at = (z * n + y) * n + from[0];
        for (let x = 0; x < factor[0].length; x++, at++) {
          const v = zy * factor[0][x];
          value[at] += v;
          tint[3 * at] += v * r;
          tint[3 * at + 1] += v * gr;
          tint[3 * at + 2] += v * b;
        }
      }
  }
  return { value, tint };
}

export function netsOf(o: Grid) {
  const n = o.size,
    { value, tint } = "value" in o ? { value: o.value, tint: null } : splat(o),
    level = o.level;
  const position: number[] = [],
    normal: number[] = [],
    color: number[] = [],
    index: number[] = [];
  const vertex = new Int32Array(n * n * n).fill(-1);
  const offset = [0, 1, n, n + 1, n * n, n * n + 1, n * n + n, n * n + n + 1];
  const edges = [
    [0, 1],
    [2, 3],
    [4, 5],
    [6, 7],
    [0, 2],
    [1, 3],
    [4, 6],
    [5, 7],
    [0, 4],
    [1, 5],
    [2, 6],
    [3, 7],
  ];
  for (let z = 0; z < n - 1; z++)
    for (let y = 0; y < n - 1; y++)
      for (let x = 0; x < n - 1; x++) {
        const at = (z * n + y) * n + x;
        let mask = 0;
        for (let k = 0; k < 8; k++) if (value[at + offset[k]] > level) mask |= 1 << k;
        if (mask === 0 || mask === 255) continue;
        let px = 0,
          py = 0,
          pz = 0,
          crossed = 0;
        for (const [a, b] of edges) {
          if (((mask >> a) & 1) === ((mask >> b) & 1)) continue;
          const va = value[at + offset[a]],
            vb = value[at + offset[b]],
            t = (level - va) / (vb - va);
          px += (a & 1) + t * ((b & 1) - (a & 1));
          py += ((a >> 1) & 1) + t * (((b >> 1) & 1) - ((a >> 1) & 1));
          pz += (a >> 2) + t * ((b >> 2) - (a >> 2));
          crossed++;
        }
        vertex[at] = position.length / 3;
        position.push(
          o.low[0] + (x + px / crossed) * o.step,
          o.low[1] + (y + py / crossed) * o.step,
          o.low[2] + (z + pz / crossed) * o.step,
        );
        const v = (k: number) => value[at + offset[k]];
        const nx = v(0) + v(2) + v(4) + v(6) - v(1) - v(3) - v(5) - v(7);
        const ny = v(0) + v(1) + v(4) + v(5) - v(2) - v(3) - v(6) - v(7);
        const nz = v(0) + v(1) + v(2) + v(3) - v(4) - v(5) - v(6) - v(7);
        const length = Math.hypot(nx, ny, nz) || 1;
        normal.push(nx / length, ny / length, nz / length);
        if (!tint) {
          color.push(...(o as Given).plain);
          continue;
        }
        let total = 0,
          r = 0,
          g = 0,
          b = 0;
        for (let k = 0; k < 8; k++) {
          const c = at + offset[k];
          total += value[c];
          r += tint[3 * c];
          g += tint[3 * c + 1];
          b += tint[3 * c + 2];
        }
        color.push(r / total, g / total, b / total);
      }
  const stride = [1, n, n * n];
  for (let z = 1; z < n - 1; z++)
    for (let y = 1; y < n - 1; y++)
      for (let x = 1; x < n - 1; x++) {
        const at = (z * n + y) * n + x,
          inside = value[at] > level;
        for (let axis = 0; axis < 3; axis++) {
          if (inside === value[at + stride[axis]] > level) continue;
          const u = stride[(axis + 1) % 3],
            w = stride[(axis + 2) % 3];
          const a = vertex[at],
            b = vertex[at - u],
            c = vertex[at - u - w],
            d = vertex[at - w];
          if (a < 0 || b < 0 || c < 0 || d < 0) continue;
          if (inside) index.push(a, b, c, a, c, d);
          else index.push(a, c, b, a, d, c);
        }
      }
  return {
    position: new Float32Array(position),
    normal: new Float32Array(normal),
    color: new Float32Array(color),
    index: new Uint32Array(index),
  };
}

// The page has the same functions where a worker is forbidden.
if (typeof window === "undefined")
  self.onmessage = (event: MessageEvent<Grid>) => {
    const nets = netsOf(event.data);
    (self as unknown as DedicatedWorkerGlobalScope).postMessage({ id: event.data.id, ...nets }, [
      nets.position.buffer,
      nets.normal.buffer,
      nets.color.buffer,
      nets.index.buffer,
    ]);
  };
