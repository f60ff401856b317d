import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { Manifest, TensorSpec } from "../../../src/catalog/manifest.ts";
import { checkAxes, checkSizes } from "../../../src/protocol/open-inference/shapes.ts";
import { manifestOf } from "../../support/manifests.ts";

const spec = (name: string, shape: number[], axes?: (string | null)[]): TensorSpec => ({
  name,
  datatype: "INT64",
  shape,
  ...(axes && { axes }),
});

const EMBEDDING: Manifest["task"] = {
  type: "embedding",
  maxTokens: 256,
  dimensions: 3,
  tokenizer: "tokenizer",
};
const SPEECH: Manifest["task"] = {
  type: "speech-activity",
  sampleRate: 16_000,
  stepSamples: 512,
  contextSamples: 64,
  maxSeconds: 60,
};
const BYTES: Manifest["task"] = {
  type: "byte-classification",
  maxBytes: 100,
  minBytes: 2,
  labels: ["a"],
};
const ROWS = spec("ids", [-1, -1]);

function check(
  task: Manifest["task"],
  shape: readonly number[],
  { placement = "edge", of = ROWS }: { placement?: "edge" | "origin"; of?: TensorSpec } = {},
): void {
  checkSizes(of, shape, manifestOf({ task }), { placement, maxBatch: 64 }, "inputs[0].shape");
}

describe("the sizes of a tensor", () => {
  it.each<[string, Manifest["task"], number[], "edge" | "origin"]>([
    ["512 tokens at the edge", EMBEDDING, [2, 256], "edge"],
    ["many short rows", EMBEDDING, [64, 8], "edge"],
    ["16,384 tokens in a pool", EMBEDDING, [64, 256], "origin"],
    ["a step of sound", SPEECH, [1, 576], "edge"],
    ["as many bytes as are read", BYTES, [1, 100], "edge"],
    ["anything of a model without a task", { type: "tensor" }, [64, 100_000], "edge"],
  ])("may be %s", (_, task, shape, placement) => {
    expect(() => check(task, shape, { placement })).not.toThrow();
  });

  it.each<[string, Manifest["task"], number[], "edge" | "origin", string, string]>([
    ["513 tokens at the edge", EMBEDDING, [27, 19], "edge", "batch_too_large", "Send 26 such rows"],
    ["16,640 in a pool", EMBEDDING, [65, 256], "origin", "batch_too_large", "Send 64 such rows"],
    ["a row beyond the model", EMBEDDING, [1, 257], "edge", "input_too_long", "reads 256"],
    ["one in a pool", EMBEDDING, [1, 257], "origin", "input_too_long", "reads 256"],
    ["a long sound", SPEECH, [1, 577], "edge", "input_too_long", "577 samples"],
    ["a long file", BYTES, [1, 101], "origin", "input_too_long", "101 bytes"],
    ["no row", EMBEDDING, [0, 8], "edge", "invalid_tensor", "size of 1 at least"],
    ["no token, in a pool", EMBEDDING, [1, 0], "origin", "invalid_tensor", "size of 1 at least"],
    ["nothing at all", { type: "tensor" }, [0, 4], "edge", "invalid_tensor", "no elements"],
  ])("may not be %s", (_, task, shape, placement, code, words) => {
    expect(() => check(task, shape, { placement })).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringContaining(words),
        field: "inputs[0].shape",
      }),
    );
  });

  it("may be none on an axis that the graph itself has so", () => {
    expect(() => check({ type: "tensor" }, [3, 0], { of: spec("x", [-1, 0]) })).not.toThrow();
  });

  it("are not bounded by what a task calls a row where there is none", () => {
    const of = spec("state", [2, -1, 128]);
    expect(() => check(SPEECH, [2, 64, 128], { of })).not.toThrow();
  });
});

describe("axes of one name", () => {
  const ids = spec("ids", [-1, -1], ["batch", "seq"]);
  const mask = spec("mask", [-1, -1], ["batch", "seq"]);
  const manifest = manifestOf({ inputs: [ids, mask, spec("other", [-1])] });
  const refuses = (inputs: Parameters<typeof checkAxes>[0]): boolean => {
    try {
      checkAxes(inputs, manifest);
      return false;
    } catch {
      return true;
    }
  };

  it("have one size", () => {
    const sizes = fc.integer({ min: 1, max: 3 });
    const shapes = fc.tuple(sizes, sizes);
    fc.assert(
      fc.property(shapes, shapes, sizes, (first, second, other) => {
        const inputs = [
          { name: "other", shape: [other] },
          { name: "mask", shape: second },
          { name: "ids", shape: first },
        ];
        expect(refuses(inputs)).toBe(String(first) !== String(second));
      }),
    );
  });

  it("are told with both inputs where they have two", () => {
    const inputs = [
      { name: "mask", shape: [1, 2] },
      { name: "ids", shape: [1, 3] },
    ];
    expect(() => checkAxes(inputs, manifest)).toThrow(
      expect.objectContaining({
        code: "invalid_tensor",
        field: "inputs[1].shape",
        message: '"ids" has a size of 3 on the axis "seq", where "mask" has 2.',
      }),
    );
  });

  it("may stand in one tensor twice", () => {
    const square = manifestOf({ inputs: [spec("x", [-1, -1], ["n", "n"])] });
    expect(() => checkAxes([{ name: "x", shape: [2, 2] }], square)).not.toThrow();
    expect(() => checkAxes([{ name: "x", shape: [2, 3] }], square)).toThrow('axis "n"');
  });

  it("are unknown of a model that was published before they were written down", () => {
    const older = manifestOf({ inputs: [spec("ids", [-1, -1]), spec("mask", [-1, -1])] });
    const inputs = [
      { name: "ids", shape: [1, 2] },
      { name: "mask", shape: [1, 3] },
    ];
    expect(() => checkAxes(inputs, older)).not.toThrow();
  });
});
