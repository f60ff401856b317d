import { createHash } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { ModelName, ModelSource, type Quantization } from "../../catalog/manifest.ts";
import { buildFolder } from "../build.ts";
import { PublishError } from "../error.ts";
import { OnnxError } from "../onnx/error.ts";
import { bytesOf } from "../onnx/model.ts";
import { type CandidateGraph, withFixtures } from "../publish.ts";
import { type Quantized, quantizeDynamicInt8 } from "../quantize.ts";
import { quantizeConvolutions } from "../quantize-conv.ts";
import { smoothActivations } from "../smooth.ts";
import { feedsOf, type Fixtures, readFixtures, readModelSource, toolDigest } from "../source.ts";
import { checkRuns, inspect } from "./inspect.ts";
import { optimise } from "./optimise.ts";
import { syntheticFixtures } from "./synthetic-fixtures.ts";

/** A model as its author gives it, with everything that decides what is published. */
export interface GatedSource {
  readonly source: ModelSource;
  readonly sourceDigest: string;
  /** Does the work that the digest stands for. */
  build(say: (line: string) => void): Promise<GatedBuild>;
}

/** One graph, or those of an ensemble by the names of its members. */
export type GatedBuild = { readonly assets: Readonly<Record<string, Uint8Array>> } & (
  | GatedGraph
  | { readonly members: Readonly<Record<string, GatedGraph>> }
);

export interface GatedGraph {
  readonly onnx: Uint8Array;
  /** The model before quantization: what the other is compared with. */
  readonly reference: Uint8Array;
  readonly fixtures: Fixtures;
  /** Shapes of the largest inputs, where model.json says them. */
  readonly largest?: Readonly<Record<string, readonly number[]>>;
  /** Whether the fixtures' expected outputs are the author's, and so must be met. */
  readonly isExpected: boolean;
  readonly quantization: Quantization;
}

export interface SourceOptions {
  readonly quantize?: Quantization;
  readonly version?: number;
}

const MODEL_JSON = "model.json";
const FIXTURES_JSON = "fixtures.json";

/** Inputs of a request to a model about which nothing is known. */
const PROPOSED_LIMITS = { maxBatch: 32, maxBodyBytes: 4_194_304 };

/**
 * Reads a folder (with a build.ts, or with one .onnx file) or an .onnx file. A folder without model.json
 * gets one, proposed from the graph, for its author to correct.
 *
 * @throws PublishError `no_model`, `unsupported_model`
 */
export async function readGatedSource(
  place: string,
  options: SourceOptions,
  say: (line: string) => void,
): Promise<GatedSource> {
  const found = await stat(place).catch(() => undefined);
  if (found === undefined) throw new PublishError("no_model", `There is nothing at ${place}.`);
  const folder = found.isDirectory() ? place : path.dirname(place);
  const names = await readdir(folder);
  if (found.isDirectory() && names.includes("build.ts")) return builtSource(folder, options);
  const file = found.isDirectory() ? await onlyOnnxFile(folder, names) : place;
  const onnx = bytesOf(await readFile(file));
  const { inputs, outputs } = inspect(onnx);
  const proposed = proposeSource(file, inputs.length, outputs.length);
  let source = proposed;
  if (names.includes(MODEL_JSON)) {
    source = await readModelSource(folder);
  } else if (found.isDirectory()) {
    await writeFile(path.join(folder, MODEL_JSON), `${JSON.stringify(proposed, undefined, 2)}\n`);
    say(`wrote ${path.join(folder, MODEL_JSON)}, proposed from the graph; correct it as you like`);
  } else {
    say(`no model.json beside the file: "${proposed.name}" version 1, tensors in and out`);
  }
  const versioned = { ...source, ...(options.version && { version: options.version }) };
  return onnxSource(folder, onnx, versioned, names, options);
}

/** The folder's own build decides everything; it may not be told to quantize. */
async function builtSource(folder: string, options: SourceOptions): Promise<GatedSource> {
  if (options.quantize !== undefined) {
    throw new PublishError("no_model", `${folder}/build.ts decides how the model is quantized.`);
  }
  const built = await buildFolder(folder);
  const source = { ...built.source, ...(options.version && { version: options.version }) };
  return {
    source,
    sourceDigest: built.sourceDigest,
    async build() {
      const { assets } = built;
      if (!("members" in built)) {
        return { ...asBuilt({ ...built, fixtures: await readFixtures(folder) }), assets };
      }
      const members = Object.entries(await withFixtures(folder, built));
      return { members: Object.fromEntries(members.map(([k, one]) => [k, asBuilt(one)])), assets };
    },
  };
}

function asBuilt({ onnx, reference, fixtures, largest }: CandidateGraph): GatedGraph {
  return {
    quantization: reference === undefined ? "none" : "int8",
    onnx,
    reference: reference ?? onnx,
    fixtures,
    isExpected: true,
    ...(largest && { largest }),
  };
}

async function onnxSource(
  folder: string,
  onnx: Uint8Array,
  source: ModelSource,
  names: readonly string[],
  options: SourceOptions,
): Promise<GatedSource> {
  const quantization = options.quantize ?? source.quantize ?? "none";
  const assets = await readAssets(folder, names);
  const fixtures = names.includes(FIXTURES_JSON) ? await readFixtures(folder) : undefined;
  const hash = createHash("sha256")
    .update(await toolDigest())
    .update(onnx);
  hash.update(JSON.stringify([source, quantization, fixtures ?? null]));
  for (const [name, bytes] of Object.entries(assets)) hash.update(name).update(bytes);
  return {
    source,
    sourceDigest: hash.digest("hex"),
    async build(say) {
      const rest = { reference: onnx, assets };
      say("checking that the edge's runtime can load it");
      await checkRuns(onnx);
      say("optimising");
      const optimised = await optimise(onnx);
      const isExpected = fixtures !== undefined;
      const cases = fixtures ?? (await syntheticFixtures(optimised, inspect(optimised)));
      if (quantization === "none") {
        return { onnx: optimised, ...rest, fixtures: cases, isExpected, quantization };
      }
      say("calibrating and quantizing to int8");
      const smooth = await smoothActivations(optimised, cases.cases.map(feedsOf));
      const convolutions = await quantizeConvolutions(smooth, cases.cases.map(feedsOf));
      const int8 = quantized(convolutions.onnx);
      const count = int8.quantized.length + convolutions.quantized.length;
      if (count === 0) {
        say("nothing in it can be quantized: it is published as it is");
        return { onnx: optimised, ...rest, fixtures: cases, isExpected, quantization: "none" };
      }
      say(`${count} nodes quantized`);
      return { onnx: int8.onnx, ...rest, fixtures: cases, isExpected, quantization };
    },
  };
}

function quantized(onnx: Uint8Array): Quantized {
  try {
    return quantizeDynamicInt8(onnx);
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error;
    throw new PublishError(
      "unsupported_model",
      `${error.message} Or publish it with --quantize none.`,
      {
        cause: error,
      },
    );
  }
}

async function onlyOnnxFile(folder: string, names: readonly string[]): Promise<string> {
  const files = names.filter((name) => name.endsWith(".onnx"));
  const [only] = files;
  if (only !== undefined && files.length === 1) return path.join(folder, only);
  throw new PublishError(
    "no_model",
    files.length === 0
      ? `${folder} holds no .onnx file and no build.ts.`
      : `${folder} holds ${files.length} .onnx files (${files.join(", ")}); name one of them.`,
  );
}

/** Files of `assets/`, by name without extension: `assets/tokenizer.json` is the asset "tokenizer". */
async function readAssets(
  folder: string,
  names: readonly string[],
): Promise<Record<string, Uint8Array>> {
  if (!names.includes("assets")) return {};
  const assets: Record<string, Uint8Array> = {};
  const entries = await readdir(path.join(folder, "assets"), { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  for (const name of files.toSorted()) {
    assets[path.parse(name).name] = bytesOf(await readFile(path.join(folder, "assets", name)));
  }
  return assets;
}

/** `My Model (v2).onnx` becomes the model "my-model-v2", which takes and gives tensors. */
function proposeSource(file: string, inputs: number, outputs: number): ModelSource {
  const words = path.parse(file).name.toLowerCase();
  const name = words
    .replaceAll(/[^a-z0-9_-]+/g, "-")
    .replaceAll(/^[-_]+|-+$/g, "")
    .slice(0, 64);
  return v.parse(ModelSource, {
    name: v.is(ModelName, name) ? name : "model",
    version: 1,
    description: `${path.basename(file)}: ${inputs} inputs, ${outputs} outputs`,
    licence: "UNLICENSED",
    source: `file:${path.basename(file)}`,
    task: { type: "tensor" },
    limits: PROPOSED_LIMITS,
  });
}
