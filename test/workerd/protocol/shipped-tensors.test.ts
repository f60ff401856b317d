import { env } from "cloudflare:workers";
import fc from "fast-check";
import * as v from "valibot";
import { beforeAll, describe, expect, it } from "vitest";

import guesslang from "../../../models/guesslang/model.json";
import iris from "../../../models/iris/model.json";
import minilm from "../../../models/minilm/model.json";
import nsfw from "../../../models/nsfw/model.json";
import vad from "../../../models/vad/model.json";
import { type Manifest, ModelSource, type TensorSpec } from "../../../src/catalog/manifest.ts";
import { signature } from "../../../src/publish/onnx/signature.ts";
import { DATATYPES, elementCount } from "../../../src/runtime/tensor.ts";
import { edgeOf } from "../../support/edge.ts";
import { tokenizerJson } from "../../support/embedding-model.ts";
import { putBlob, putCatalog } from "../../support/publish-graph.ts";
import { bytesOf, publishCase, readCases } from "../../support/stored-snapshots.ts";

const SHIPPED = [iris, vad, guesslang, minilm, nsfw];
const encoder = new TextEncoder();

const manifests = new Map<string, Manifest>();

/** A model that ships, with the tokenizer of another: tensors need none. */
async function publishShipped(json: unknown, more: Partial<Manifest> = {}): Promise<Manifest> {
  const { name, task, limits } = v.parse(ModelSource, json);
  const stored = (await readCases())[name];
  if (stored === undefined) throw new Error(`There is no case "${name}".`);
  const tokenizer = Uint8Array.from(encoder.encode(JSON.stringify(tokenizerJson)));
  return publishCase(env.MODELS, stored, {
    ...signature(await bytesOf(stored.graph)),
    task,
    limits,
    ...(task.type === "embedding" && {
      assets: { tokenizer: await putBlob(env.MODELS, tokenizer) },
    }),
    ...more,
  });
}

beforeAll(async () => {
  for (const json of SHIPPED) manifests.set(json.name, await publishShipped(json));
  const { inputs } = manifests.get("minilm") ?? { inputs: [] };
  manifests.set(
    "older",
    await publishShipped(minilm, {
      name: "older",
      inputs: inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    }),
  );
  await putCatalog(env.CATALOG, [...manifests.values()]);
});

type Edge = ReturnType<typeof edgeOf>;
type Input = Pick<TensorSpec, "name" | "datatype"> & { readonly shape: readonly number[] };

const edgeWithoutQueue = (): Edge => edgeOf({}, { unbound: ["USAGE"] });

/** Sends tensors as bytes, all of them `fill`. */
async function infer(edge: Edge, model: string, inputs: readonly Input[], fill = 0) {
  const sizes = inputs.map(
    ({ datatype, shape }) => elementCount(shape) * DATATYPES[datatype].bytes,
  );
  const json = encoder.encode(
    JSON.stringify({
      inputs: inputs.map((input, index) => ({
        ...input,
        parameters: { binary_data_size: sizes[index] },
      })),
    }),
  );
  const body = new Uint8Array(json.length + sizes.reduce((sum, size) => sum + size, 0)).fill(fill);
  body.set(json);
  const { response } = await edge.begin(`/v2/models/${model}/infer`, {
    method: "POST",
    headers: { "inference-header-content-length": String(json.length) },
    body,
  });
  const bytes = await response.arrayBuffer();
  const problem = response.ok
    ? {}
    : (JSON.parse(new TextDecoder().decode(bytes)) as { code?: string; detail?: string });
  return {
    status: response.status,
    placement: response.headers.get("nearside-placement"),
    ...problem,
  };
}

const texts = (ids: readonly number[], mask: readonly number[]): Input[] => [
  { name: "input_ids", datatype: "INT64", shape: ids },
  { name: "attention_mask", datatype: "INT64", shape: mask },
];
const HONEST = texts([1, 8], [1, 8]);

describe("requests that a model can't compute", () => {
  it.each<[string, string, Input[], number, number, string]>([
    [
      "whose inputs contradict each other",
      "minilm",
      texts([4, 32], [4, 16]),
      0,
      400,
      "invalid_tensor",
    ],
    ["of unknown tokens", "minilm", texts([4, 32], [4, 32]), 0x7f, 422, "inference_failed"],
    [
      "that its manifest does not know to be wrong",
      "older",
      texts([4, 32], [4, 16]),
      0,
      422,
      "inference_failed",
    ],
  ])("%s cost nobody else anything", async (_, model, inputs, fill, status, code) => {
    const edge = edgeWithoutQueue();
    expect(await infer(edge, model, HONEST)).toMatchObject({ status: 200 });
    const before = edge.isolate.host.stats().heldBytes;
    for (let sent = 0; sent < (model === "older" ? 60 : 300); sent++) {
      const answer = await infer(edge, model, inputs, fill);
      const isExpected = answer.status === status && answer.code === code;
      if (!isExpected) throw new Error(`It answered ${JSON.stringify(answer)}.`);
    }
    expect(await infer(edge, model, HONEST)).toMatchObject({ status: 200, placement: "edge" });
    expect(edge.isolate.host.stats().heldBytes).toBe(before);
  });

  it("are told which inputs contradict each other", async () => {
    const { detail } = await infer(edgeWithoutQueue(), "minilm", texts([4, 32], [4, 16]));
    expect(detail).toBe(
      '"attention_mask" has a size of 16 on the axis "seq", where "input_ids" has 32.',
    );
  });

  it("of more tokens than may stop everybody are refused in words", async () => {
    const answer = await infer(edgeWithoutQueue(), "minilm", texts([64, 32], [64, 32]));
    expect(answer).toMatchObject({ status: 413, code: "batch_too_large" });
    expect(answer.detail).toContain("Send 16 such rows at most");
  });
});

describe("the models that ship", () => {
  it.each(SHIPPED.map(({ name }) => name))(
    "%s never fails for the shapes that come",
    async (name) => {
      const { inputs } = manifests.get(name) ?? { inputs: [] };
      const edge = edgeWithoutQueue();
      const axis = (size: number) =>
        size === -1
          ? fc.oneof(fc.nat(4), fc.constantFrom(0, 1, 2, 8, 16, 128, 256, 512, 576, 10_001))
          : fc.constant(size);
      const request = fc.tuple(
        fc.tuple(...inputs.map(({ shape }) => fc.tuple(...shape.map(axis)))),
        fc.constantFrom(0, 0, 1, 0x3f, 0xff),
      );
      const seen = new Set<number>();
      await fc.assert(
        fc.asyncProperty(request, async ([shapes, fill]) => {
          const given = inputs.map((spec, index) => ({
            name: spec.name,
            datatype: spec.datatype,
            shape: shapes[index] ?? [],
          }));
          if (given.some(({ shape }) => elementCount(shape) > 500_000)) return;
          const { status, detail } = await infer(edge, name, given, fill);
          seen.add(status);
          if (status >= 500) throw new Error(`It answered ${status}: ${detail}`);
        }),
        {
          numRuns: name === "nsfw" ? 10 : 60,
          endOnFailure: true,
          examples: [[[inputs.map(({ shape }) => shape.map((size) => Math.max(0, size))), 0]]],
        },
      );
      expect(seen).toContain(400);
      const good = inputs.map(({ shape, ...spec }) => ({
        ...spec,
        shape: shape.map((size, at) => (size > 0 ? size : at === 0 || name !== "vad" ? 1 : 288)),
      }));
      const state = good.map((one) =>
        one.name === "state" ? { ...one, shape: [2, 1, 128] } : one,
      );
      expect(await infer(edge, name, state)).toMatchObject({ status: 200 });
    },
  );

  it("take as many inputs as their configuration says, as bytes", async () => {
    const edge = edgeWithoutQueue();
    const pixels = { name: "pixels", datatype: "FP32" } as const;
    const pictures = (count: number) => [{ ...pixels, shape: [count, 224, 224, 3] }];
    expect(await infer(edge, "nsfw", pictures(8))).toMatchObject({ status: 200 });
    expect(await infer(edge, "nsfw", pictures(9))).toMatchObject({ code: "batch_too_large" });
  });

  it.each<[string, Input[]]>([
    [
      "vad",
      [
        { name: "input", datatype: "FP32", shape: [0, 576] },
        { name: "state", datatype: "FP32", shape: [2, 0, 128] },
        { name: "sr", datatype: "INT64", shape: [] },
      ],
    ],
    ["iris", [{ name: "features", datatype: "FP32", shape: [0, 4] }]],
  ])("%s refuses an axis of nothing", async (model, inputs) => {
    expect(await infer(edgeWithoutQueue(), model, inputs)).toMatchObject({
      status: 400,
      code: "invalid_tensor",
    });
  });
});
