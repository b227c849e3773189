/** What tests and benchmarks read of a page. */

interface Trace {
  marks: Record<string, number>; // when something happened first, milliseconds
  latencies: number[]; // from a question to its answer, milliseconds
  answers: number[];
  [name: string]: unknown;
}

export const trace: Trace = { marks: {}, latencies: [], answers: [] };
(window as unknown as { cryomix: Trace }).cryomix = trace;

export function mark(name: string): void {
  trace.marks[name] ??= performance.now();
}
