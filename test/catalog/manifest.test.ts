import { describe, expect, it } from "vitest";
import * as v from "valibot";

import { Manifest, ModelSource, TaskConfig } from "../../src/catalog/manifest.ts";
import { manifestOf } from "../support/manifests.ts";
import { issuePaths, withField } from "./fields.ts";

const DIGEST = "a".repeat(64);

const FULL = manifestOf({
  task: { type: "tensor" },
  graph: { digest: DIGEST, bytes: 10 },
  weights: { name: "weights.bin", digest: DIGEST, bytes: 2_000_000 },
  assets: { tokenizer: { digest: DIGEST, bytes: 3 } },
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
  outputs: [{ name: "y", datatype: "INT64", shape: [] }],
});

const SOURCE: ModelSource = {
  name: "minilm",
  version: 3,
  description: "A model.",
  licence: "MIT OR Apache-2.0",
  source: "npm:package@1.0.0",
  task: { type: "tensor" },
  limits: { maxBatch: 1, maxBodyBytes: 1 },
};

const TASKS: readonly TaskConfig[] = [
  { type: "tensor" },
  { type: "embedding", maxTokens: 256, dimensions: 384, tokenizer: "tokenizer" },
  { type: "byte-classification", maxBytes: 100, minBytes: 1, labels: ["a"] },
  {
    type: "speech-activity",
    sampleRate: 16_000,
    stepSamples: 512,
    contextSamples: 64,
    maxSeconds: 60,
  },
  { type: "tabular-classification", columns: ["a"], labels: ["b", "c"] },
  {
    type: "text-recognition",
    maxPixels: 2_500_000,
    pageSide: 896,
    tileSide: 320,
    originPageSide: 1_920,
    originTileSide: 960,
    maxLineWidth: 960,
    characters: "characters",
  },
  { type: "text-generation", contextCharacters: 4_096 },
];

describe("Manifest", () => {
  it("takes a whole manifest as it is", () => {
    expect(v.parse(Manifest, FULL)).toEqual(FULL);
  });

  it("does without weights", () => {
    const { weights: _, ...rest } = FULL;
    expect(v.parse(Manifest, rest)).toEqual(rest);
  });

  it.each<[string, Partial<Manifest>, Partial<Manifest>]>([
    ["no edge build", { edge: false }, { edge: false }],
    ["costs at the edge", { edge: { msPerRequest: 2 } }, { edge: { msPerRequest: 2 } }],
    [
      "costs by unit",
      { edge: { targetMs: 9, msPerUnit: { tokens: 0.5 } } as unknown as Manifest["edge"] },
      { edge: { targetMs: 9, msPerRequest: 0, msPerUnit: { tokens: 0.5 } } },
    ],
    [
      "a build for origins",
      { originBuild: { graph: { digest: DIGEST, bytes: 9 } } },
      { originBuild: { graph: { digest: DIGEST, bytes: 9 } } },
    ],
  ])("takes %s", (_, more, read) => {
    expect(v.parse(Manifest, { ...FULL, ...more })).toEqual({ ...FULL, ...read });
  });

  it("lets fields through that a newer publisher wrote", () => {
    expect(v.is(Manifest, { ...FULL, ofTheFuture: { digest: DIGEST } })).toBe(true);
  });

  it("takes an ensemble: graphs of members instead of one of its own", () => {
    const { graph, weights: _, snapshot: __, ...rest } = FULL;
    if (graph === undefined) throw new Error("The whole manifest has a graph.");
    const { inputs, outputs } = rest;
    const members = { detector: { graph, inputs, outputs, heapBytes: 7 } };
    const ensemble = { ...rest, members, inputs: [], outputs: [] };
    expect(v.parse(Manifest, ensemble)).toEqual(ensemble);
    expect(issuePaths(v.safeParse(Manifest, { ...ensemble, graph }))).toEqual(["graph"]);
    const other = { ...ensemble, members: { "No Role": members.detector } };
    expect(v.safeParse(Manifest, other).success).toBe(false);
  });

  it.each([
    ["schema", 2],
    ["name", ""],
    ["name", "Bad"],
    ["name", "-x"],
    ["name", "a/b"],
    ["name", "a".repeat(65)],
    ["name", "constructor"],
    ["name", "prototype"],
    ["version", 0],
    ["version", 1.5],
    ["version", "1"],
    ["version", 2 ** 53],
    ["description", undefined],
    ["licence", undefined],
    ["source", 7],
    ["sourceDigest", "A".repeat(64)],
    ["sourceDigest", "a".repeat(63)],
    ["task.type", "magic"],
    ["graph", undefined],
    ["graph.digest", "../../secret"],
    ["graph.bytes", -1],
    ["weights.name", undefined],
    ["weights.digest", ""],
    ["weights.bytes", 0.5],
    ["assets", undefined],
    ["assets.tokenizer", DIGEST],
    ["assets.tokenizer.digest", `${DIGEST}\n`],
    ["inputs", {}],
    ["inputs.0.name", undefined],
    ["inputs.0.datatype", "FP8"],
    ["inputs.0.datatype", "toString"],
    ["inputs.0.shape", [-2]],
    ["inputs.0.shape", ["batch"]],
    ["outputs.0.shape", undefined],
    ["memory.heapBytes", -1],
    ["memory.taskBytes", undefined],
    ["edge", true],
    ["edge", { msPerRequest: -1 }],
    ["edge", { msPerUnit: { tokens: "many" } }],
    ["originBuild", { graph: DIGEST }],
    ["limits.maxBatch", 0],
    ["limits.maxBodyBytes", Number.POSITIVE_INFINITY],
  ])("refuses %s = %j, and names it", (field, value) => {
    const result = v.safeParse(Manifest, withField(FULL, field, value));
    expect(result.success).toBe(false);
    expect(issuePaths(result)).toSatisfy((paths: string[]) =>
      paths.some((path) => path.startsWith(field)),
    );
  });
});

describe("TaskConfig", () => {
  it.each(TASKS)("takes $type", (task) => {
    expect(v.parse(TaskConfig, task)).toEqual(task);
  });

  it.each(TASKS)("refuses a field that $type doesn't have", (task) => {
    expect(v.is(TaskConfig, { ...task, maxTokns: 5 })).toBe(false);
  });

  it.each(
    TASKS.flatMap((task) =>
      Object.entries(task)
        .filter(([field]) => field !== "type")
        .map(([field, value]) => [task.type, field, typeof value === "number" ? 0 : [], task]),
    ),
  )("refuses %s with %s = %j, or without it", (_type, field, empty, task) => {
    expect(v.is(TaskConfig, withField(task, String(field), empty))).toBe(false);
    expect(v.is(TaskConfig, withField(task, String(field), undefined))).toBe(false);
  });
});

describe("ModelSource", () => {
  it("takes what a person writes", () => {
    expect(v.parse(ModelSource, SOURCE)).toEqual(SOURCE);
  });

  it.each(Object.keys(SOURCE))("needs %s", (field) => {
    expect(issuePaths(v.safeParse(ModelSource, withField(SOURCE, field, undefined)))).toEqual([
      field,
    ]);
  });

  it("takes what is said of edge and origin", () => {
    const more = { edge: { targetMs: 1, msPerRequest: 1 }, originBuild: "reference" } as const;
    expect(v.parse(ModelSource, { ...SOURCE, ...more })).toEqual({ ...SOURCE, ...more });
    expect(v.is(ModelSource, { ...SOURCE, edge: false })).toBe(true);
  });

  it("refuses a field that is misspelt", () => {
    expect(v.is(ModelSource, { ...SOURCE, edge: { targetMS: 1 } })).toBe(false);
    expect(v.is(ModelSource, { ...SOURCE, license: "MIT" })).toBe(false);
  });
});
