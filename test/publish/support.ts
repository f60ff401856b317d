import { randomUUID } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { create } from "@bufbuild/protobuf";
import { ValueInfoProtoSchema } from "onnx-buf";
import { afterEach, expect } from "vitest";

import type { ModelSource } from "../../src/catalog/manifest.ts";
import { readModel, writeModel } from "../../src/publish/onnx/model.ts";
import { runtimeModule } from "../../src/publish/runtime.ts";
import { GENERATED, ROOT } from "../../src/publish/workspace.ts";
import { createSession, type SessionSource } from "../../src/runtime/create-session.ts";
import { type OrtInstance, startOrt } from "../../src/runtime/ort-module.ts";
import type { OrtSession } from "../../src/runtime/session.ts";
import type { Tensor, TensorOf } from "../../src/runtime/tensor.ts";

let shared: Promise<OrtInstance> | undefined;

/** A session in the runtime that Workers run. Graphs of tests are small enough to share an instance. */
export async function wasmSession(source: SessionSource): Promise<OrtSession> {
  shared ??= runtimeModule().then((module) => startOrt(module));
  return createSession(await shared, source);
}

export async function runWasm(
  graph: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> {
  return (await wasmSession({ graph })).run(feeds);
}

export function fp32(shape: readonly number[], values: Iterable<number>): TensorOf<"FP32"> {
  return { datatype: "FP32", shape, data: Float32Array.from(values) };
}

export function numbersOf(tensor: Tensor | undefined): number[] {
  if (tensor === undefined) throw new Error("there is no such tensor");
  return Array.from<unknown, number>(tensor.data, Number);
}

export function largestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) throw new Error(`${a.length} numbers are compared with ${b.length}`);
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index]!)), 0);
}

/** What a number is that is off by no more than `allowed`. */
export function near(value: number, allowed: number): unknown {
  return expect.toSatisfy((seen: number) => Math.abs(seen - value) <= allowed);
}

/** Floats within the tolerance; classes, labels and words are equal or they are wrong. */
export function expectNear(seen: Tensor | undefined, expected: Tensor, tolerance: number): void {
  expect([seen?.datatype, seen?.shape]).toEqual([expected.datatype, expected.shape]);
  const isFloat = expected.datatype === "FP32" || expected.datatype === "FP64";
  expect([...(seen?.data ?? [])]).toEqual(
    Array.from<unknown>(expected.data).map((value) =>
      isFloat ? near(Number(value), tolerance) : value,
    ),
  );
}

export function rowsOf(tensor: Tensor | undefined, width: number): number[][] {
  const values = numbersOf(tensor);
  return Array.from({ length: values.length / width }, (_, row) =>
    values.slice(row * width, (row + 1) * width),
  );
}

export function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (one: readonly number[], two: readonly number[]): number =>
    one.reduce((sum, value, index) => sum + value * (two[index] ?? Number.NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** `count` numbers between -1 and 1 that look random and are the same every time. */
export function noise(count: number, seed = 1): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, index) => {
    const wave = Math.sin((index + 1) * 12.9898 + seed * 78.233) * 43_758.5453;
    return 2 * (wave - Math.floor(wave)) - 1;
  });
}

/** The first format in which initialisers need not be listed among the inputs. */
const IR_WITH_OPTIONAL_INPUTS = 4;

/** The same graph as older or newer exporters would have written it. */
export function asVersion(
  onnx: Uint8Array,
  { opset, ir }: { opset?: number; ir?: number },
): Uint8Array<ArrayBuffer> {
  const model = readModel(onnx);
  const [entry] = model.opsetImport;
  if (entry !== undefined && opset !== undefined) entry.version = BigInt(opset);
  if (ir === undefined) return writeModel(model);
  model.irVersion = BigInt(ir);
  const listed = new Set(model.graph.input.map(({ name }) => name));
  for (const { name, dataType, dims } of model.graph.initializer) {
    if (ir >= IR_WITH_OPTIONAL_INPUTS || listed.has(name)) continue;
    const dim = dims.map((value) => ({ value: { case: "dimValue", value } as const }));
    const value = { case: "tensorType", value: { elemType: dataType, shape: { dim } } } as const;
    model.graph.input.push(create(ValueInfoProtoSchema, { name, type: { value } }));
  }
  return writeModel(model);
}

export interface ModelFolder {
  readonly folder: string;
  readonly name: string;
  write(file: string, text: string): Promise<void>;
  remove(): Promise<void>;
}

/** Model folders that are gone after each test. */
export function useModelFolders(build: string) {
  const folders: ModelFolder[] = [];
  afterEach(async () => {
    for (const model of folders.splice(0)) await model.remove();
  });
  return async (overrides: Partial<ModelSource> = {}, otherBuild = build): Promise<ModelFolder> => {
    const model = await makeModelFolder(otherBuild, overrides);
    folders.push(model);
    return model;
  };
}

/**
 * A folder like those in models/, whose name is nobody else's.
 * @param build what `build()` does; the helpers of test/support/graphs.ts are `graphs`
 */
export async function makeModelFolder(
  build: string,
  overrides: Partial<ModelSource> = {},
): Promise<ModelFolder> {
  const name = overrides.name ?? `tiny-${randomUUID().slice(0, 8)}`;
  const folder = path.join(GENERATED, "test", name);
  const source: ModelSource = {
    name,
    version: 1,
    description: "A model of the tests.",
    licence: "MIT",
    source: "test",
    task: { type: "tensor" },
    limits: { maxBatch: 8, maxBodyBytes: 1024 },
    ...overrides,
  };
  const fixture = {
    source: "The tests.",
    cases: [
      {
        name: "zeros",
        inputs: { x: { datatype: "FP32", shape: [1, 64], data: Array<number>(64).fill(0) } },
        expected: {},
        tolerance: 0,
      },
    ],
  };
  const write = (file: string, text: string) => writeFile(path.join(folder, file), text);
  await mkdir(folder, { recursive: true });
  await write("model.json", JSON.stringify(source));
  await write("fixtures.json", JSON.stringify(fixture));
  await write(
    "build.ts",
    `import * as graphs from ${JSON.stringify(path.join(ROOT, "test/support/graphs.ts"))};\n` +
      `export const packages = ["valibot"];\n` +
      `export async function build() { ${build} }\n` +
      `void graphs;\n`,
  );
  return {
    folder,
    name,
    write,
    async remove() {
      await rm(folder, { recursive: true, force: true });
      await rm(path.join(GENERATED, "build", name), { recursive: true, force: true });
    },
  };
}
