import { createHash } from "node:crypto";
import path from "node:path";

import { beforeAll, describe, expect, it } from "vitest";

import { doublePrecision } from "../../models/scribe/algebra.ts";
import { decode, encodePrompt, END, VOCABULARY } from "../../models/scribe/alphabet.ts";
import { build } from "../../models/scribe/build.ts";
import { type CommittedWeights, readCommittedWeights } from "../../models/scribe/committed.ts";
import { scribeGraph } from "../../models/scribe/graph.ts";
import { makeFixtures } from "../../models/scribe/make-fixtures.ts";
import { Network, type Window } from "../../models/scribe/network.ts";
import { mulberry32 } from "../../models/scribe/random.ts";
import { generate, type Step } from "../../models/scribe/sample.ts";
import { initialWeights, type Shape, type Weights } from "../../models/scribe/weights.ts";
import { ReferenceSession } from "../../src/publish/onnx/reference-session.ts";
import { feedsOf, readFixtures, toTensor } from "../../src/publish/source.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { expectNear, largestDifference, noise, numbersOf, runWasm } from "../publish/support.ts";

const FOLDER = path.join(ROOT, "models/scribe");

describe("the graph", () => {
  it("computes what the trainer's network does, for any batch and length", async () => {
    const shape: Shape = { vocabulary: 7, embedding: 3, units: 5 };
    const weights = initialWeights(shape, doublePrecision, mulberry32(3));
    weights.all.set(weights.all.map((value, index) => value + Math.sin(index) / 3));
    const session = await ReferenceSession.create(scribeGraph(weights, shape));
    for (const [batch, length] of [
      [1, 1],
      [1, 9],
      [3, 4],
    ] as const) {
      const tokens = Array.from({ length: batch * length }, (_, index) => (index * 5) % 7);
      const state = noise(batch * shape.units);
      const { logits, next_state } = await session.run(feeds(tokens, state, batch));
      const expected = forward(weights, shape, { batch, length }, tokens, state);
      expect(logits?.shape).toEqual([batch, length, shape.vocabulary]);
      expect(largestDifference(numbersOf(logits), expected.logits)).toBeLessThan(1e-5);
      expect(largestDifference(numbersOf(next_state), expected.state)).toBeLessThan(1e-5);
    }
    await session.release();
  });
});

describe("the committed model", () => {
  let committed: CommittedWeights;
  let session: ReferenceSession;
  let onnx: Uint8Array;
  beforeAll(async () => {
    committed = await readCommittedWeights();
    ({ onnx } = await build());
    session = await ReferenceSession.create(onnx);
    return () => session.release();
  });

  const fresh = (): Float32Array<ArrayBuffer> => new Float32Array(committed.shape.units);

  const step: Step<Float32Array<ArrayBuffer>> = async (tokens, state = fresh()) => {
    const { logits, next_state } = await session.run(feeds(tokens, state));
    return {
      logits: numbersOf(logits).slice(-VOCABULARY),
      state: Float32Array.from(numbersOf(next_state)),
    };
  };

  it("is the one that its statement describes", () => {
    const { bytes, statement } = committed;
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(statement.sha256);
    expect(bytes.byteLength).toBeLessThan(400_000);
    expect(statement.bitsPerCharacter.heldOut).toBeLessThan(2.6);
  });

  it("computes what its fixtures expect, in both runtimes", async () => {
    for (const one of (await readFixtures(FOLDER)).cases) {
      const native = await session.run(feedsOf(one));
      const wasm = await runWasm(onnx, feedsOf(one));
      expect(Object.keys(one.expected)).toEqual(["logits", "next_state"]);
      for (const [name, expected] of Object.entries(one.expected)) {
        expectNear(native[name], toTensor(expected), one.tolerance);
        expectNear(wasm[name], toTensor(expected), one.tolerance);
      }
    }
  });

  it("has fixtures that make-fixtures.ts makes", async () => {
    expect(await makeFixtures()).toEqual(await readFixtures(FOLDER));
  });

  it("comes to the same in one run and in single steps", async () => {
    const tokens = encodePrompt("The returned value is");
    const whole = await session.run(feeds(tokens, fresh()));
    let state: Float32Array<ArrayBuffer> | undefined;
    const single: number[] = [];
    for (const token of tokens) {
      const after = await step([token], state);
      single.push(...Array.from(after.logits));
      ({ state } = after);
    }
    expect(largestDifference(single, numbersOf(whole["logits"]))).toBeLessThan(1e-4);
    expect(largestDifference([...state!], numbersOf(whole["next_state"]))).toBeLessThan(1e-5);
  });

  it("finds English likely, and noise unlikely", async () => {
    const bitsOf = async (text: string): Promise<number> => {
      const tokens = encodePrompt(text);
      const { logits } = await session.run(feeds(tokens.slice(0, -1), fresh()));
      const values = numbersOf(logits);
      const bits = tokens.slice(1).map((token, place) => {
        const row = values.slice(place * VOCABULARY, (place + 1) * VOCABULARY);
        const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
        return (Math.log(total) - row[token]!) / Math.LN2;
      });
      return bits.reduce((sum, one) => sum + one, 0) / bits.length;
    };
    const english = "This method returns the number of bytes that have been written to the file.\n";
    expect(await bitsOf(english)).toBeLessThan(2.6);
    expect(await bitsOf("qzx}vjw~ kqQ7%zjxv wqq)Xj vzk{\n")).toBeGreaterThan(6);
  });

  it("writes the same for the same seed, and mostly words", async () => {
    const write = async (seed: number): Promise<string> => {
      const options = { temperature: 0.6, topP: 1, seed, maxTokens: 80, stop: [] };
      let text = "";
      const pieces = generate(step, encodePrompt("This method "), options, { end: END, decode });
      for await (const piece of pieces) text += piece.text;
      return text;
    };
    const once = await write(1);
    expect(await write(1)).toEqual(once);
    expect(await write(2)).not.toBe(once);
    const letters = once.match(/[a-z ]/g) ?? [];
    expect(letters.length / once.length).toBeGreaterThan(0.7);
  });
});

/** Of the trainer's network, batch-major as the graph has it. */
function forward(
  weights: Weights,
  shape: Shape,
  window: Window,
  tokens: readonly number[],
  state: ArrayLike<number>,
): { readonly logits: number[]; readonly state: number[] } {
  const { batch, length } = window;
  const network = new Network(shape, window, doublePrecision, weights);
  network.state.set(state);
  network.forward(
    tokens.map((_, cell) => tokens[(cell % batch) * length + Math.floor(cell / batch)]!),
  );
  const row = (cell: number): number[] => [
    ...network.logits.subarray(cell * shape.vocabulary, (cell + 1) * shape.vocabulary),
  ];
  const logits = tokens.flatMap((_, place) =>
    row((place % length) * batch + Math.floor(place / length)),
  );
  return { logits, state: [...network.state] };
}

function feeds(
  tokens: readonly number[],
  state: Float32Array<ArrayBuffer>,
  batch = 1,
): Record<string, Tensor> {
  return {
    token: {
      datatype: "INT64",
      shape: [batch, tokens.length / batch],
      data: BigInt64Array.from(tokens, BigInt),
    },
    state: { datatype: "FP32", shape: [1, batch, state.length / batch], data: state },
  };
}
