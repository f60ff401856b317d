import { readFile } from "node:fs/promises";
import path from "node:path";

import { ReferenceSession } from "../../src/publish/onnx/reference-session.ts";
import { type Fixtures, toFixture } from "../../src/publish/source.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { parseWav, monoSamples } from "../../src/tasks/wav.ts";
import { build } from "./build.ts";

const RATE = 16_000;
const WINDOW = 576;
/** Where in the recording, in samples: silence, the first word, and the middle of a sentence. */
const PLACES = { silence: 2_000, "a first word": 12_000, "a sentence": 70_000 };

/** onnxruntime-node on the authors' file; each step's state goes into the next. */
export async function makeFixtures(): Promise<Fixtures> {
  const recording = await readFile(path.join(import.meta.dirname, "samples/speech.wav"));
  const samples = monoSamples(parseWav(recording, "speech.wav"), "speech.wav");
  const session = await ReferenceSession.create((await build()).onnx);
  const cases: Fixtures["cases"] = [];
  let state: Tensor = { datatype: "FP32", shape: [2, 1, 128], data: new Float32Array(256) };
  for (const [name, start] of Object.entries(PLACES)) {
    const feeds: Record<string, Tensor> = {
      input: { datatype: "FP32", shape: [1, WINDOW], data: samples.slice(start, start + WINDOW) },
      state,
      sr: { datatype: "INT64", shape: [], data: BigInt64Array.of(BigInt(RATE)) },
    };
    const outputs = await session.run(feeds);
    cases.push({ name, inputs: fixturesOf(feeds), expected: fixturesOf(outputs), tolerance: 1e-4 });
    state = outputs["stateN"] ?? state;
  }
  await session.release();
  return {
    source:
      "onnxruntime-node 1.30.0 on the authors' ONNX file. What the authors' own package says of the whole recording is in samples/speech.json.",
    cases,
  };
}

function fixturesOf(tensors: Readonly<Record<string, Tensor>>) {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [name, toFixture(tensor)]),
  );
}
