import { createHash } from "node:crypto";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { doublePrecision, type Vector } from "../../../models/scribe/algebra.ts";
import { encode, VOCABULARY } from "../../../models/scribe/alphabet.ts";
import { Network, type Window } from "../../../models/scribe/network.ts";
import { mulberry32 } from "../../../models/scribe/random.ts";
import { simdAlgebra } from "../../../models/scribe/simd.ts";
import { bitsPerCharacter, Trainer, type TrainingOptions } from "../../../models/scribe/trainer.ts";
import {
  initialWeights,
  packWeights,
  type Shape,
  unpackWeights,
} from "../../../models/scribe/weights.ts";
import { largestDifference, noise } from "../../publish/support.ts";

const MEBIBYTE = 2 ** 20;

describe("a matrix product in WebAssembly", () => {
  it("is that of plain loops, whatever the sizes", () => {
    const size = fc.record({
      rows: fc.integer({ min: 1, max: 13 }),
      inner: fc.integer({ min: 1, max: 600 }),
      columns: fc.integer({ min: 1, max: 21 }),
    });
    fc.assert(
      fc.property(size, (product) => {
        const { rows, inner, columns } = product;
        const simd = simdAlgebra(MEBIBYTE);
        const [a, b, c] = [rows * inner, inner * columns, rows * columns].map((length) =>
          simd.vector(length),
        ) as [Vector, Vector, Vector];
        a.set(noise(a.length, 1));
        b.set(noise(b.length, 2));
        c.set(noise(c.length, 3));
        const expected = Float64Array.from(c);
        doublePrecision.multiply(a, b, expected, product);
        simd.multiply(a, b, c, product);
        expect(largestDifference([...c], [...expected])).toBeLessThan(1e-4);
      }),
      { numRuns: 60 },
    );
  });
});

describe("training", () => {
  const shape: Shape = { vocabulary: 5, embedding: 3, units: 4 };
  const window: Window = { batch: 2, length: 3 };

  it("has the gradients that finite differences have", () => {
    const weights = initialWeights(shape, doublePrecision, mulberry32(1));
    weights.all.set(weights.all.map((value, index) => value + Math.sin(index) / 10));
    const network = new Network(shape, window, doublePrecision, weights);
    const before = noise(window.batch * shape.units);
    const inputs = [0, 1, 2, 3, 4, 1];
    const loss = (): number => {
      network.state.set(before);
      network.forward(inputs);
      return network.score([2, 3, 4, 1, 0, 0]);
    };
    loss();
    network.backward(inputs);
    const STEP = 1e-5;
    const numeric = Array.from(weights.all, (value, index) => {
      weights.all[index] = value + STEP;
      const above = loss();
      weights.all[index] = value - STEP;
      const below = loss();
      weights.all[index] = value;
      return (above - below) / (2 * STEP);
    });
    expect(largestDifference([...network.gradients.all], numeric)).toBeLessThan(1e-9);
    expect([...network.gradients.all].filter((value) => value !== 0).length).toBeGreaterThan(130);
  });

  const small: TrainingOptions = {
    shape: { vocabulary: VOCABULARY, embedding: 8, units: 32 },
    window: { batch: 4, length: 16 },
    steps: 20,
    learningRate: 0.01,
    seed: 7,
  };
  const sentence = "It was a bright cold day in April, and the clocks were striking thirteen.\n";
  const text = Uint8Array.from(encode(sentence.repeat(8)));

  function trained(options: TrainingOptions): { losses: number[]; trainer: Trainer } {
    const trainer = new Trainer(options, simdAlgebra(4 * MEBIBYTE));
    return { losses: [...trainer.run(text)], trainer };
  }

  it("gives the same weights every time, and others for another seed", () => {
    const digest = (options: TrainingOptions): string => {
      const { weights } = trained(options).trainer;
      return createHash("sha256").update(packWeights(weights)).digest("hex");
    };
    expect(digest(small)).toBe(digest(small));
    expect(digest({ ...small, seed: 8 })).not.toBe(digest(small));
  });

  it("learns a short text by heart, and knows no other", () => {
    const options = { ...small, steps: 400 };
    const { losses, trainer } = trained(options);
    expect(losses[0]).toBeCloseTo(Math.log(VOCABULARY), 0);
    const evaluation = new Network(small.shape, small.window, doublePrecision, trainer.weights);
    expect(bitsPerCharacter(evaluation, small.window, text)).toBeLessThan(0.4);
    const other = Uint8Array.from(
      encode("Call me Ishmael. Some years ago, never mind how".repeat(2)),
    );
    expect(bitsPerCharacter(evaluation, small.window, other)).toBeGreaterThan(4);
  });

  it("refuses a text that is shorter than one window", () => {
    const trainer = new Trainer(small, simdAlgebra(4 * MEBIBYTE));
    expect(() => [...trainer.run(text.subarray(0, 64))]).toThrow("shorter than one window");
  });

  it("packs weights to halves and back", () => {
    const { weights } = new Trainer(small, doublePrecision);
    const bytes = packWeights(weights);
    const back = unpackWeights(bytes, small.shape, doublePrecision);
    expect(largestDifference([...back.all], [...weights.all])).toBeLessThan(1e-3);
    expect(packWeights(back)).toEqual(bytes);
    expect(() => unpackWeights(bytes.subarray(2), small.shape, doublePrecision)).toThrow(
      RangeError,
    );
  });
});
