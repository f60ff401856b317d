import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Manifest, TaskConfig, TaskType, TensorSpec } from "../../src/catalog/manifest.ts";
import { writeClient } from "../../src/cli/build-client.ts";
import { declarationOf, typedModel } from "../../src/cli/nearside/types.ts";
import type { TaskTypes } from "../../src/client/models.ts";
import { runQuietly } from "../../src/cli/processes.ts";
import { GENERATED } from "../../src/publish/workspace.ts";
import { manifestOf } from "../support/manifests.ts";

const tensors = (specs: Readonly<Record<string, TensorSpec["datatype"]>>): TensorSpec[] =>
  Object.entries(specs).map(([name, datatype]) => ({ name, datatype, shape: [-1] }));

const model = (
  name: string,
  task: TaskConfig,
  inputs: TensorSpec[] = [],
  outputs: TensorSpec[] = [],
): Manifest => manifestOf({ name, task, inputs, outputs });

const MODELS = [
  model(
    "iris",
    { type: "tabular-classification", columns: ["a", "b"], labels: ["setosa", "virginica"] },
    tensors({ features: "FP32" }),
    tensors({ probabilities: "FP32", label: "INT64" }),
  ),
  model("minilm", { type: "embedding", maxTokens: 9, dimensions: 3, tokenizer: "tokenizer" }),
  model("guesslang", {
    type: "byte-classification",
    maxBytes: 9,
    minBytes: 1,
    labels: ["py", "c++"],
  }),
  model("vad", {
    type: "speech-activity",
    sampleRate: 16_000,
    stepSamples: 512,
    contextSamples: 64,
    maxSeconds: 9,
  }),
  model("scribe", { type: "text-generation", contextCharacters: 9 }),
  model("half", { type: "tensor" }, tensors({ x: "FP16" })),
  model("echo-16", { type: "tensor" }, tensors({ x: "FP16", "b.f": "BF16", s: "BYTES" })),
].flatMap((manifest) => {
  const versions = [manifest, { ...manifest, version: 2 }];
  return typedModel(versions, { stable: 1, canary: 2 }) ?? [];
});

let folder: string;
beforeAll(async () => {
  await writeClient();
  const parent = path.join(GENERATED, "test");
  await mkdir(parent, { recursive: true });
  // Inside the repository, where nearside/client is the built one.
  folder = await mkdtemp(path.join(parent, "client-types-"));
  await writeFile(path.join(folder, "models.d.ts"), declarationOf(MODELS));
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: "es2022",
    lib: ["es2022", "dom", "dom.iterable"],
    module: "nodenext",
    types: [],
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
  };
  await writeFile(
    path.join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions, include: ["program.mts", "models.d.ts"] }),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Line by line. */
const HEAD =
  `import { Nearside, NearsideError, verifyReceipt, type Receipt, type Tensor } from "nearside/client";
import type { Models } from "./models.d.ts";
const nearside = new Nearside<Models>({ baseUrl: "https://edge.example.com" });
const row = [5.1, 3.5];
const floats = (length: number) => new Float32Array(length);`.split("\n");

/** The numbers of the lines, from 0, that don't compile. */
async function wrongLines(lines: readonly string[]): Promise<number[]> {
  await writeFile(path.join(folder, "program.mts"), [...HEAD, ...lines].join("\n"));
  try {
    await runQuietly("tsc", ["-p", folder, "--pretty", "false"]);
    return [];
  } catch (error) {
    const places = (error as Error).message.matchAll(/program\.mts\((\d+),\d+\): error/g);
    const lineNumbers = Array.from(places, ([, line]) => Number(line) - 1 - HEAD.length);
    if (lineNumbers.length === 0) throw error;
    return [...new Set(lineNumbers)];
  }
}

const FLOATS = "{ shape: [2], data: floats(2) }";

/** One line each. */
const WRONG = [
  ["another model", `nearside.predict("irs", row)`],
  ["another version", `nearside.predict("iris", row, { version: 3 })`],
  ["another label of a version", `nearside.predict("iris", row, { version: "stabel" })`],
  ["another label of a classifier", `(await nearside.predict("iris", row))[0]?.label === "rose"`],
  ["an input of another task", `nearside.predict("iris", "a text")`],
  ["several recordings at once", `nearside.predict("vad", ["a", "b"])`],
  ["an embedding of a model that makes none", `nearside.embed("iris", "a text")`],
  ["a search by such a model", `nearside.search("guesslang", "a text", { corpus: "docs" })`],
  ["a stream of a model that does not write", `nearside.stream("minilm", { prompt: "x" })`],
  ["another input", `nearside.infer("iris", { feature: ${FLOATS} })`],
  ["a missing input", `nearside.infer("iris", {})`],
  ["strings for floats", `nearside.infer("iris", { features: { shape: [2], data: ["1"] } })`],
  [
    "another datatype",
    `nearside.infer("iris", { features: { datatype: "FP64", shape: [2], data: floats(2) } })`,
  ],
  [
    "bits of which nothing is said",
    `nearside.infer("half", { x: { shape: [1], data: new Uint16Array(1) } })`,
  ],
  [
    "another output, asked for",
    `nearside.infer("iris", { features: ${FLOATS} }, { outputs: ["labels"] })`,
  ],
  ["another output, read", `(await nearside.infer("iris", { features: ${FLOATS} })).labels`],
  [
    "an output that was not asked for",
    `(await nearside.infer("iris", { features: ${FLOATS} }, { outputs: ["label"] })).probabilities`,
  ],
] as const;

/** Tasks of the server whose inputs and outputs the client does not know; one more does not compile below. */
type Unknown = Exclude<TaskType, keyof TaskTypes<string> | "tensor" | "text-generation">;

describe("a client with generated types", () => {
  it("knows every task", () => {
    const unknown: Record<Unknown, never> = {};
    expect(unknown).toEqual({});
  });

  it("compiles what the catalog has, with the types that come back", async () => {
    const program = `
      const scores: { label: "setosa" | "virginica"; score: number }[] = await nearside.predict("iris", row);
      const rows: { label: "setosa" | "virginica"; score: number }[][] = await nearside.predict("iris", [row, { a: 1, b: 2 }]);
      const csv: { label: "setosa" | "virginica" }[][] = await nearside.predict("iris", new Blob(["1,2"]), { mediaType: "text/csv" });
      const language: "py" | "c++" | undefined = (await nearside.predict("guesslang", "x = 1"))[0]?.label;
      const several: ("py" | "c++" | undefined)[] = (await nearside.predict("guesslang", ["x", "y"])).map((one) => one[0]?.label);
      const speech: { start: number; end: number }[] = await nearside.predict("vad", floats(3), { mediaType: "audio/wav" });
      const vector: Float32Array = await nearside.embed("minilm", "a text", { version: "canary" });
      const vectors: Float32Array[] = await nearside.embed("minilm", ["a", "b"], { version: 2 });
      const matches: { id: string }[] = await nearside.search("minilm", "near", { corpus: "docs", top: 3 });
      const { probabilities, label } = await nearside.infer("iris", { features: { shape: [1, 2], data: floats(2) } });
      const p: Float32Array = probabilities.data;
      const l: BigInt64Array = label.data;
      const only = await nearside.infer("iris", { features: { shape: [1, 2], data: floats(2) } }, { outputs: ["label"] });
      const found: Tensor<"INT64"> = only.label;
      await nearside.infer("echo-16", {
        x: { datatype: "FP16", shape: [1], data: new Uint16Array(1) },
        "b.f": { datatype: "BF16", shape: [1], data: new Uint16Array(1) },
        s: { shape: [1], data: ["é"] },
      });
      for await (const { text } of nearside.stream("scribe", { prompt: "The sea" })) text.trim();
      const { value, meta, request, response } = await nearside.predict("iris", row).withMeta();
      const version: number | undefined = meta.version;
      const receipt: Receipt = await verifyReceipt(meta.receipt, { baseUrl: "", request, response });
      const anything: unknown = await new Nearside({ baseUrl: "" }).predict("whatever", { any: 1 });
      const tensors: Tensor | undefined = (await new Nearside({ baseUrl: "" }).infer("x", { y: { shape: [2], data: floats(2) } }))["z"];
    `;
    expect(await wrongLines(program.split("\n"))).toEqual([]);
  });

  describe("does not compile", () => {
    let wrong: number[];
    beforeAll(async () => {
      wrong = await wrongLines(WRONG.map(([, line]) => `${line};`));
    });

    it.each(WRONG.map(([what], index) => [what, index] as const))("%s", (_, index) => {
      expect(wrong).toContain(index);
    });
  });
});
