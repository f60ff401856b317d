import { InferenceSession } from "onnxruntime-node";

import { ReferenceSession } from "../../src/publish/onnx/reference-session.ts";
import { runtimeModule } from "../../src/publish/runtime.ts";
import { createSession } from "../../src/runtime/create-session.ts";
import { startOrt } from "../../src/runtime/ort-module.ts";
import { type Figure, figureOf, ratioOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";
import { prepareSubjects } from "./subjects.ts";

const RUNS = 20;

export interface NativeCase {
  readonly model: string;
  readonly nativeMs: Figure;
  readonly wasmMs: Figure;
  /** How many times the native run the WASM takes. */
  readonly ratio: number;
}

/** onnxruntime-node with one thread against the WASM, on the same model and inputs, in turn. */
export async function native(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly NativeCase[] }> {
  const { subjects } = await prepareSubjects(say);
  const cases: NativeCase[] = [];
  for (const { model, built, feeds } of subjects) {
    say(model);
    const options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
    const reference = new ReferenceSession(await InferenceSession.create(built.onnx, options));
    const session = createSession(await startOrt(await runtimeModule()), { graph: built.onnx });
    const nativeMs: number[] = [];
    const wasmMs: number[] = [];
    for (let run = 0; run < 5 * RUNS; run++) {
      await reference.run(feeds);
      session.run(feeds);
    }
    for (let sample = 0; sample < samples; sample++) {
      const began = performance.now();
      for (let run = 0; run < RUNS; run++) await reference.run(feeds);
      const between = performance.now();
      for (let run = 0; run < RUNS; run++) session.run(feeds);
      nativeMs.push((between - began) / RUNS);
      wasmMs.push((performance.now() - between) / RUNS);
    }
    await reference.release();
    const figures = { nativeMs: figureOf(nativeMs), wasmMs: figureOf(wasmMs) };
    cases.push({ model, ...figures, ratio: ratioOf(figures.wasmMs, figures.nativeMs) });
  }
  return {
    cases,
    columns: ["model", "native ms", "WASM ms", "WASM / native"],
    rows: cases.map(({ model, nativeMs, wasmMs, ratio }) => [
      model,
      spread(nativeMs),
      spread(wasmMs),
      `${ratio}×`,
    ]),
    picture: {
      title: "One run, one thread",
      unit: "ms",
      bars: cases.flatMap(({ model, nativeMs, wasmMs }) => [
        { label: model, figure: nativeMs, kind: "onnxruntime-node" },
        { label: "", figure: wasmMs, kind: "onnxruntime-web in WASM" },
      ]),
    },
  };
}
