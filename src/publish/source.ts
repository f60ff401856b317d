import { createHash, type Hash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";

import * as v from "valibot";

import { ModelSource, TensorSpec } from "../catalog/manifest.ts";
import { arrayOf, elementCount, type Tensor } from "../runtime/tensor.ts";
import { PublishError } from "./error.ts";
import { picturePixels } from "./picture.ts";
import { ROOT } from "./workspace.ts";

/** What `build()` of `models/<name>/build.ts` makes. */
export interface ModelBuild {
  /** The model that is published. */
  onnx: Uint8Array;
  /** The model before quantization, when that is another. */
  reference?: Uint8Array;
  /** Files that the task needs beside the graph, by the names that manifests use. */
  assets: Record<string, Uint8Array>;
}

/** What `build()` makes of an ensemble. */
export interface EnsembleBuild {
  /** By the names that `ensemble` of model.json has. */
  members: Record<string, Pick<ModelBuild, "onnx" | "reference">>;
  assets: Record<string, Uint8Array>;
}

/** What `models/<name>/build.ts` exports. */
export interface ModelBuilder {
  build(): Promise<ModelBuild | EnsembleBuild>;
  /** npm packages that the build reads. */
  readonly packages: readonly string[];
}

/**
 * Pixels would fill lines and lines as numbers: in the file they may be `base64` instead of `data`, or a
 * `picture`: a JPEG, PNG or WebP file in base64, for its red, green and blue.
 */
function fromBase64(tensor: unknown): unknown {
  if (isObject(tensor) && typeof tensor["picture"] === "string") {
    const { picture, ...rest } = tensor;
    return { ...rest, data: picturePixels(picture as string) };
  }
  if (!isObject(tensor) || typeof tensor["base64"] !== "string") return tensor;
  const { base64, ...rest } = tensor;
  return { ...rest, data: [...Buffer.from(base64 as string, "base64")] };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

const FixtureTensor = v.pipe(
  v.unknown(),
  v.transform(fromBase64),
  v.strictObject({
    datatype: TensorSpec.entries.datatype,
    shape: v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
    /** Row-major. 64-bit integers are numbers too, FP16 is its bits, BOOL is 0 or 1. */
    data: v.union([v.array(v.number()), v.array(v.string())]),
  }),
  v.check(
    ({ shape, data }) => data.length === elementCount(shape),
    "data must have as many elements as the shape",
  ),
  v.check(
    ({ datatype, data }) =>
      data.every((value) => typeof value === (datatype === "BYTES" ? "string" : "number")),
    "data must be strings for BYTES, and numbers for everything else",
  ),
);
export type FixtureTensor = v.InferOutput<typeof FixtureTensor>;

const FixtureCases = v.pipe(
  v.array(
    v.strictObject({
      name: v.string(),
      inputs: v.record(v.string(), FixtureTensor),
      expected: v.record(v.string(), FixtureTensor),
      /** Largest absolute difference of any element. */
      tolerance: v.pipe(v.number(), v.minValue(0)),
    }),
  ),
  v.minLength(1),
);

/** `models/<name>/fixtures.json`: inputs whose right outputs are known from somewhere else. */
export const Fixtures = v.strictObject({
  /** A sentence: where the expected outputs come from. */
  source: v.string(),
  cases: FixtureCases,
});
export type Fixtures = v.InferOutput<typeof Fixtures>;

/** The same for each member of an ensemble. */
export const EnsembleFixtures = v.strictObject({
  source: v.string(),
  members: v.record(v.string(), FixtureCases),
});
export type EnsembleFixtures = v.InferOutput<typeof EnsembleFixtures>;

export async function readFixtures(folder: string): Promise<Fixtures> {
  return parseFile(Fixtures, path.join(folder, "fixtures.json"));
}

/** The fixtures of each member. @throws PublishError `no_model` when a member has none */
export async function readEnsembleFixtures(
  folder: string,
  members: readonly string[],
): Promise<Record<string, Fixtures>> {
  const file = path.join(folder, "fixtures.json");
  const { source, members: cases } = await parseFile(EnsembleFixtures, file);
  return Object.fromEntries(
    members.map((name) => {
      const own = cases[name];
      if (own !== undefined) return [name, { source, cases: own }];
      throw new PublishError("no_model", `${file} has no fixtures of "${name}".`);
    }),
  );
}

export async function readModelSource(folder: string): Promise<ModelSource> {
  return parseFile(ModelSource, path.join(folder, "model.json"));
}

/** @throws PublishError with the file and the field that is wrong */
async function parseFile<S extends v.GenericSchema>(
  schema: S,
  file: string,
): Promise<v.InferOutput<S>> {
  const { success, output, issues } = v.safeParse(schema, await readJson(file));
  if (success) return output;
  const [issue] = issues;
  const field = v.getDotPath(issue);
  throw new PublishError(
    "no_model",
    `${path.relative(process.cwd(), file)}${field === null ? "" : `, "${field}"`}: ${issue.message}`,
  );
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw new PublishError(
      "no_model",
      `${path.relative(process.cwd(), file)} can't be read as JSON: ${(cause as Error).message}`,
      { cause },
    );
  }
}

/** A tensor of a fixture, as sessions take it. */
export function toTensor({ datatype, shape, data }: FixtureTensor): Tensor {
  if (datatype === "BYTES") return { datatype, shape, data: data.map(String) };
  const numbers = data.map(Number);
  if (datatype === "INT64") {
    return { datatype, shape, data: BigInt64Array.from(numbers, BigInt) };
  }
  if (datatype === "UINT64") {
    return { datatype, shape, data: BigUint64Array.from(numbers, BigInt) };
  }
  return { datatype, shape, data: arrayOf(datatype).from(numbers) } as Tensor;
}

/** The inputs of a fixture, as sessions take them. */
export function feedsOf({
  inputs,
}: Pick<Fixtures["cases"][number], "inputs">): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [name, toTensor(tensor)]),
  );
}

/** float32 has no more than this; fixtures stay small. */
const SIGNIFICANT_DIGITS = 7;

/** The reverse of `toTensor`; floats are rounded to seven significant digits. */
export function toFixture({ datatype, shape, data }: Tensor): FixtureTensor {
  if (datatype === "BYTES") return { datatype, shape: [...shape], data };
  const isFloat = datatype === "FP32" || datatype === "FP64";
  const numbers: number[] = [];
  for (const value of data) {
    const number = Number(value);
    numbers.push(isFloat ? Number(number.toPrecision(SIGNIFICANT_DIGITS)) : number);
  }
  return { datatype, shape: [...shape], data: numbers };
}

export async function writeFixtures(
  folder: string,
  fixtures: Fixtures | EnsembleFixtures,
): Promise<void> {
  const schema = "members" in fixtures ? EnsembleFixtures : Fixtures;
  // Arrays on a line each: a diff of fixtures then shows which tensor changed. No string of JSON
  // has a line break in it, so only what was put between elements goes.
  const text = JSON.stringify(v.parse(schema, fixtures), withBase64, 1).replaceAll(
    /\[[^[\]{}]*\]/g,
    (array) => array.replaceAll(/\n\s*/g, ""),
  );
  await writeFile(path.join(folder, "fixtures.json"), `${text}\n`);
}

/** UINT8 tensors of more elements are written as base64. */
const MAX_LISTED_BYTES = 1_024;

function withBase64(_key: string, value: unknown): unknown {
  if (!isObject(value) || value["datatype"] !== "UINT8" || !Array.isArray(value["data"])) {
    return value;
  }
  const { data, ...rest } = value as unknown as FixtureTensor;
  if (data.length <= MAX_LISTED_BYTES) return value;
  return { ...rest, base64: Buffer.from(data as number[]).toString("base64") };
}

/** Folder of an installed npm package, whatever its `exports` allow to resolve. */
export function packageFolder(name: string): string {
  return path.join(ROOT, "node_modules", name);
}

export async function importBuilder(folder: string): Promise<ModelBuilder> {
  const file = path.join(folder, "build.ts");
  const builder = (await import(pathToFileURL(file).href)) as Partial<ModelBuilder>;
  const { build, packages } = builder;
  if (typeof build === "function" && Array.isArray(packages)) return { build, packages };
  throw new Error(`${path.relative(ROOT, file)} must export build() and packages.`);
}

/** Sources that every build goes through. */
const PUBLISH_SOURCES = [
  "src/publish/onnx",
  "src/publish/weights",
  "src/publish/quantize.ts",
  "src/publish/quantize-conv.ts",
  "src/publish/convolutions.ts",
  "src/publish/calibrate.ts",
  "src/publish/smooth.ts",
  "src/publish/frozen-clock.ts",
  "src/publish/snapshot.ts",
  "src/publish/gate/optimise.ts",
  "src/runtime/create-session.ts",
  "src/runtime/ort-module.ts",
  "src/runtime/session.ts",
  "src/runtime/snapshot/format.ts",
  "src/runtime/tensor.ts",
];
/** Packages that write the bytes of every build. */
const PUBLISH_PACKAGES = ["onnx-buf", "@bufbuild/protobuf", "onnxruntime-web"];

/** Files of a model's folder that are about the model, and decide nothing of its bytes. */
const BESIDE_THE_BUILD = /^(?:example\.json|make-\w+\.\w+|LICEN[CS]E.*|.*\.md|samples\/.*)$/;

/**
 * SHA-256, in hex, of everything that decides a model's build: the files of its folder, the code
 * that writes and quantizes ONNX, and the versions of the npm packages that the build reads.
 */
export async function sourceDigest(folder: string): Promise<string> {
  const { packages } = await importBuilder(folder);
  const hash = createHash("sha256").update(await toolDigest());
  for (const file of await filesOf(folder)) {
    const name = path.relative(folder, file);
    if (!BESIDE_THE_BUILD.test(name)) await addFile(hash, `model/${name}`, file);
  }
  await addVersions(hash, packages);
  return hash.digest("hex");
}

/** SHA-256, in hex, of what every build goes through: code of Nearside and versions of packages. */
export async function toolDigest(): Promise<string> {
  const hash = createHash("sha256");
  for (const source of PUBLISH_SOURCES) {
    for (const file of await filesOf(path.join(ROOT, source))) {
      await addFile(hash, path.relative(ROOT, file), file);
    }
  }
  await addVersions(hash, PUBLISH_PACKAGES);
  return hash.digest("hex");
}

async function addFile(hash: Hash, name: string, file: string): Promise<void> {
  const bytes = await readFile(file);
  hash.update(`${name.replaceAll(path.sep, "/")} ${bytes.byteLength}\n`).update(bytes);
}

async function addVersions(hash: Hash, packages: readonly string[]): Promise<void> {
  for (const name of packages.toSorted()) {
    hash.update(`npm:${name}@${await installedVersion(name)}\n`);
  }
}

/** A file, or the files below a folder, in an order that doesn't depend on the file system. */
async function filesOf(place: string): Promise<string[]> {
  if (path.extname(place) !== "") return [place];
  const entries = await readdir(place, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .toSorted();
}

const PackageJson = v.object({ version: v.string() });

/** Version of an installed npm package. */
export async function installedVersion(name: string): Promise<string> {
  const file = path.join(packageFolder(name), "package.json");
  return v.parse(PackageJson, await readJson(file)).version;
}
