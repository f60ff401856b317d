import { type Figure, figureOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";
import { BENCH_STATE, prepareSubjects } from "./subjects.ts";
import { startBenchWorker } from "./worker.ts";

const MEGABYTE = 1e6;

interface Side {
  /** Instances that fit the budget of one isolate, 96 MiB. */
  readonly fit: Figure;
  /** Their linear memories, and what of it is in use. */
  readonly heapBytes: Figure;
  readonly touchedBytes: Figure;
}

export interface MemoryCase {
  readonly model: string;
  readonly plain: Side;
  readonly restored: Side;
}

/** How many instances of a model fit the budget of one isolate, loaded plainly and restored. */
export async function memory(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly MemoryCase[] }> {
  const { subjects, benchFolder } = await prepareSubjects(say);
  const cases: MemoryCase[] = [];
  for (const { model } of subjects) {
    say(model);
    const sides = {
      plain: await measure("plain", model),
      restored: await measure("restored", model),
    };
    cases.push({ model, ...sides });
  }
  return {
    cases,
    columns: ["model", "fit, plain", "restored", "touched MB, plain", "restored"],
    rows: cases.map(({ model, plain, restored }) => [
      model,
      String(plain.fit.median),
      String(restored.fit.median),
      spread(plain.touchedBytes, MEGABYTE),
      spread(restored.touchedBytes, MEGABYTE),
    ]),
    picture: {
      title: "Instances that fit the budget of one isolate",
      unit: "",
      bars: cases.flatMap(({ model, plain, restored }) => [
        { label: model, figure: plain.fit, kind: "plain ONNX" },
        { label: "", figure: restored.fit, kind: "Nearside" },
      ]),
    },
  };

  async function measure(kind: string, model: string): Promise<Side> {
    const seen: { fit: number; heapBytes: number; touchedBytes: number }[] = [];
    for (let sample = 0; sample < samples; sample++) {
      const worker = await startBenchWorker(benchFolder, BENCH_STATE);
      try {
        const response = await fetch(`${worker.url}/fill/${kind}/${model}`);
        seen.push((await response.json()) as (typeof seen)[number]);
      } finally {
        await worker.stop();
      }
    }
    return {
      fit: figureOf(seen.map(({ fit }) => fit)),
      heapBytes: figureOf(seen.map(({ heapBytes }) => heapBytes)),
      touchedBytes: figureOf(seen.map(({ touchedBytes }) => touchedBytes)),
    };
  }
}
