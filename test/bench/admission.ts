import { prepareRuntime } from "../../src/publish/runtime.ts";
import { type Figure, figureOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";
import { bundleBenchWorker, startBenchWorker } from "./worker.ts";

/** The round trip is shared by so many. */
const REQUESTS = 2_000;

/** What a paid request does besides an unpaid one, and the choice of a version beside it. */
const STAGES = {
  authenticate: "key's digest, key and account from the caches, rate limit",
  admit: "price, and credit from a lease",
  receipt: "admission, digests of two bodies of 2 KB, Ed25519 signature",
  choose: "for comparison: version, flag and placement",
} as const;

export interface AdmissionCase {
  readonly stage: string;
  /** Microseconds of one request. */
  readonly microseconds: Figure;
  /** Calls on bindings, of all requests of all samples. */
  readonly calls: number;
}

/** What billing costs a warm request in workerd, stage by stage. */
export async function admission(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly AdmissionCase[] }> {
  say("bundling");
  await prepareRuntime();
  const worker = await startBenchWorker(await bundleBenchWorker("admission"), undefined);
  const measured = new Map<string, { microseconds: number[]; calls: number }>();
  try {
    for (let sample = 0; sample <= samples; sample++) {
      say(sample === 0 ? "warming up" : `sample ${sample} of ${samples}`);
      for (const stage of Object.keys(STAGES)) {
        const began = performance.now();
        const response = await fetch(`${worker.url}/${stage}?n=${REQUESTS}`);
        if (!response.ok) throw new Error(`${stage} answered ${response.status}.`);
        const { calls } = (await response.json()) as { calls: number };
        const microseconds = ((performance.now() - began) * 1_000) / REQUESTS;
        const all = measured.get(stage) ?? { microseconds: [], calls: 0 };
        measured.set(stage, all);
        if (sample === 0) continue;
        all.microseconds.push(microseconds);
        all.calls += calls;
      }
    }
  } finally {
    await worker.stop();
  }
  const cases = [...measured].map(([stage, { microseconds, calls }]) => ({
    stage,
    microseconds: figureOf(microseconds),
    calls,
  }));
  return {
    cases,
    columns: ["stage", "µs per request", "calls on bindings"],
    rows: cases.map(({ stage, microseconds, calls }) => [
      stage,
      spread(microseconds),
      String(calls),
    ]),
    picture: {
      title: "What billing costs a warm request",
      unit: "µs",
      bars: cases.map(({ stage, microseconds }) => ({
        label: stage,
        figure: microseconds,
        kind: stage === "choose" ? "for comparison" : "billing",
      })),
    },
  };
}
