import type { GateReport } from "../../catalog/manifest.ts";
import { worseOf } from "./compare.ts";

/** The findings of an ensemble's members as one: the worst of what is compared, the sum of what is measured. */
export function together([first, ...rest]: readonly GateReport[]): GateReport {
  if (first === undefined) throw new Error("An ensemble has at least one member.");
  return rest.reduce(
    (a, b) => ({
      operators: addedUp(a.operators, b.operators),
      opset: Math.max(a.opset, b.opset),
      quantization: a.quantization === "int8" ? a.quantization : b.quantization,
      fixtures: a.fixtures === b.fixtures ? a.fixtures : `${a.fixtures}; ${b.fixtures}`,
      comparison: worseOf(a.comparison, b.comparison),
      thresholds: { ...a.thresholds, ...b.thresholds },
      bytes: {
        source: a.bytes.source + b.bytes.source,
        graph: a.bytes.graph + b.bytes.graph,
        weights: a.bytes.weights + b.bytes.weights,
        snapshot: a.bytes.snapshot + b.bytes.snapshot,
      },
      heapBytes: a.heapBytes + b.heapBytes,
      ...sumOf("coldMs", a, b),
      ...sumOf("warmMs", a, b),
    }),
    first,
  );
}

function addedUp(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): Record<string, number> {
  const sum = { ...a };
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}

function sumOf(
  field: "coldMs" | "warmMs",
  a: GateReport,
  b: GateReport,
): Partial<Record<typeof field, number>> {
  const [one, other] = [a[field], b[field]];
  return one === undefined || other === undefined ? {} : { [field]: one + other };
}
