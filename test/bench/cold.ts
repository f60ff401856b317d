import { startEdge } from "../../src/cli/local-stack.ts";
import { send } from "../../src/cli/examples.ts";
import { type Figure, figureOf, ratioOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";
import { BENCH_STATE, EDGE_STATE, prepareSubjects, type Subject } from "./subjects.ts";
import { startBenchWorker } from "./worker.ts";

const MEGABYTE = 1e6;

type Kind = "plain" | "restored";
const KINDS: readonly Kind[] = ["plain", "restored"];

interface Side {
  /** Start of the module, while the bytes are on their way: in none of the others. */
  readonly startMs: Figure;
  /** SHA-256 of what was fetched, which only Nearside checks; in none of the others but the first answer. */
  readonly digestMs: Figure;
  readonly loadMs: Figure;
  readonly firstRunMs: Figure;
  readonly firstAnswerMs: Figure;
  readonly heapBytes: Figure;
  readonly touchedBytes: Figure;
}

export interface ColdCase {
  readonly model: string;
  readonly weightsBytes: number;
  readonly plain: Side;
  readonly restored: Side;
  readonly ratio: { readonly load: number; readonly firstAnswer: number; readonly touched: number };
}

/**
 * Cold starts: a fresh process of workerd for every sample, plain and restored in turn. `load` goes from
 * bytes at hand to session ready, both with the module started while the bytes came; `firstAnswer` from the request to the answer of a Worker that has done
 * nothing yet: the obvious one (ONNX file from R2, no checks) and Nearside's edge with everything on.
 */
export async function cold(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly ColdCase[] }> {
  const { subjects, benchFolder } = await prepareSubjects(say);
  const measured = new Map<string, Record<string, number[]>>();
  const note = (model: string, kind: Kind, values: Record<string, number>): void => {
    const key = `${model} ${kind}`;
    const all = measured.get(key) ?? {};
    for (const [name, value] of Object.entries(values)) (all[name] ??= []).push(value);
    measured.set(key, all);
  };
  for (let sample = 0; sample < samples; sample++) {
    say(`sample ${sample + 1} of ${samples}`);
    for (const subject of subjects) {
      // Which comes first alternates, so that neither always finds the machine warmer.
      for (const kind of sample % 2 === 0 ? KINDS : KINDS.toReversed()) {
        note(subject.model, kind, await measureLoad(benchFolder, subject, kind));
        note(subject.model, kind, await measureFirstAnswer(benchFolder, subject, kind));
      }
    }
  }
  const side = (model: string, kind: Kind): Side => {
    const all = measured.get(`${model} ${kind}`) ?? {};
    const figure = (name: string): Figure => figureOf(all[name] ?? []);
    return {
      startMs: figure("startMs"),
      digestMs: figure("digestMs"),
      loadMs: figure("loadMs"),
      firstRunMs: figure("firstRunMs"),
      firstAnswerMs: figure("firstAnswerMs"),
      heapBytes: figure("heapBytes"),
      touchedBytes: figure("touchedBytes"),
    };
  };
  const cases = subjects.map(({ model, manifest }): ColdCase => {
    const [plain, restored] = [side(model, "plain"), side(model, "restored")];
    return {
      model,
      weightsBytes: manifest.weights?.bytes ?? manifest.graph?.bytes ?? 0,
      plain,
      restored,
      ratio: {
        load: ratioOf(plain.loadMs, restored.loadMs),
        firstAnswer: ratioOf(plain.firstAnswerMs, restored.firstAnswerMs),
        touched: ratioOf(plain.touchedBytes, restored.touchedBytes),
      },
    };
  });
  return reportOf(cases);
}

function reportOf(cases: readonly ColdCase[]): Report & { readonly cases: readonly ColdCase[] } {
  return {
    cases,
    columns: [
      "model",
      "load ms, plain",
      "restored",
      "ratio",
      "first answer ms, plain",
      "restored",
      "ratio",
      "touched MB, plain",
      "restored",
    ],
    rows: cases.map(({ model, plain, restored, ratio }) => [
      model,
      spread(plain.loadMs),
      spread(restored.loadMs),
      `${ratio.load}×`,
      spread(plain.firstAnswerMs),
      spread(restored.firstAnswerMs),
      `${ratio.firstAnswer}×`,
      spread(plain.touchedBytes, MEGABYTE),
      spread(restored.touchedBytes, MEGABYTE),
    ]),
    picture: {
      title: "First answer of a fresh isolate",
      unit: "ms",
      bars: cases.flatMap(({ model, plain, restored }) => [
        { label: model, figure: plain.firstAnswerMs, kind: "plain ONNX" },
        { label: "", figure: restored.firstAnswerMs, kind: "Nearside" },
      ]),
    },
  };
}

async function measureLoad(folder: string, subject: Subject, kind: Kind) {
  const worker = await startBenchWorker(folder, BENCH_STATE);
  try {
    const response = await fetch(`${worker.url}/load/${kind}/${subject.model}`, {
      method: "POST",
      body: subject.feedsJson,
    });
    if (!response.ok) throw new Error(`${subject.model}, ${kind}: ${await response.text()}`);
    return (await response.json()) as Record<string, number>;
  } finally {
    await worker.stop();
  }
}

async function measureFirstAnswer(folder: string, { model, example }: Subject, kind: Kind) {
  const worker =
    kind === "plain"
      ? await startBenchWorker(folder, BENCH_STATE)
      : await startEdge({ edgePort: 0, stateFolder: EDGE_STATE });
  try {
    const url = "edgeUrl" in worker ? worker.edgeUrl : worker.url;
    const request = kind === "plain" ? { ...example, path: `/predict/${model}` } : example;
    const began = performance.now();
    const response = await send(url, request);
    const answer = await response.text();
    const firstAnswerMs = performance.now() - began;
    const start = response.headers.get("nearside-start");
    if (!response.ok || (kind === "restored" && start !== "restored")) {
      throw new Error(`${model}, ${kind}: ${response.status}, ${start}: ${answer.slice(0, 300)}`);
    }
    return { firstAnswerMs };
  } finally {
    await worker.stop();
  }
}
