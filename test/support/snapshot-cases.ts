import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";

import { graphFolders } from "../../src/cli/examples.ts";
import { buildModel } from "../../src/publish/build.ts";
import { externalize } from "../../src/publish/onnx/externalize.ts";
import { runtimeIdentity, runtimeModule } from "../../src/publish/runtime.ts";
import { takeSnapshot } from "../../src/publish/snapshot.ts";
import { feedsOf, type Fixtures, readFixtures, toFixture } from "../../src/publish/source.ts";
import { GENERATED, ROOT } from "../../src/publish/workspace.ts";
import { createSession, type SessionSource } from "../../src/runtime/create-session.ts";
import { startOrt } from "../../src/runtime/ort-module.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { gatherGraph, identityGraph, linearGraph, outerProductGraph } from "./graphs.ts";
import { feedsFor, onnxOf, sampleGraphs } from "./random-graphs.ts";
import type { CaseIndex, StoredCase } from "./stored-snapshots.ts";
import { bitsOf } from "./tensor-bits.ts";

export interface SnapshotCase {
  readonly name: string;
  readonly isShipped?: boolean;
  readonly source: SessionSource;
  readonly fixtures: Fixtures;
}

const WEIGHTS_NAME = "weights.bin";

export function sourceOf(onnx: Uint8Array): SessionSource {
  const { graph, weights } = externalize(onnx, WEIGHTS_NAME);
  return { graph, ...(weights && { weights: { name: WEIGHTS_NAME, data: weights } }) };
}

/** Fixtures that expect nothing: what the session answers is what counts. */
export function fixturesOf(...cases: Readonly<Record<string, Tensor>>[]): Fixtures {
  return {
    source: "The tests.",
    cases: cases.map((feeds, index) => ({
      name: `case ${index}`,
      inputs: Object.fromEntries(
        Object.entries(feeds).map(([name, tensor]) => [name, toFixture(tensor)]),
      ),
      expected: {},
      tolerance: 0,
    })),
  };
}

/** The models that ship, as they are published. */
export async function shippedCases(): Promise<readonly SnapshotCase[]> {
  const folders = await graphFolders();
  return Promise.all(
    folders.map(async (folder) => ({
      name: path.basename(folder),
      isShipped: true,
      source: sourceOf((await buildModel(folder)).onnx),
      fixtures: await readFixtures(folder),
    })),
  );
}

const numbers = (...data: number[]): Tensor => ({
  datatype: "FP32",
  shape: [1, data.length],
  data: Float32Array.from(data),
});

const column = (length: number): Tensor => ({
  datatype: "FP32",
  shape: [length, 1],
  data: new Float32Array(length).fill(2),
});

/** How large a fixture must be for a memory of more than its first length. */
const LARGE = 2000;

export const SMALL_CASES: readonly SnapshotCase[] = [
  {
    name: "linear",
    source: sourceOf(linearGraph(2, 2)),
    fixtures: fixturesOf({ x: numbers(1, 2) }),
  },
  {
    name: "weighted",
    source: sourceOf(linearGraph(32, 16)),
    fixtures: fixturesOf({ x: numbers(...Array<number>(32).fill(1)) }),
  },
  {
    name: "gather",
    source: sourceOf(gatherGraph(64)),
    fixtures: fixturesOf({
      index: { datatype: "INT64", shape: [2], data: BigInt64Array.of(1n, 3n) },
    }),
  },
  {
    name: "strings",
    source: sourceOf(identityGraph("BYTES", 1)),
    fixtures: fixturesOf({ x: { datatype: "BYTES", shape: [2], data: ["ä", "日本語"] } }),
  },
  { name: "outer", source: sourceOf(outerProductGraph()), fixtures: fixturesOf({ x: column(8) }) },
  {
    name: "outer-large",
    source: sourceOf(outerProductGraph()),
    fixtures: fixturesOf({ x: column(LARGE) }),
  },
];

/** Random graphs that workerd restores too; Node restores many more. */
const RANDOM_GRAPHS_IN_WORKERD = 6;

const randomCases = (): readonly SnapshotCase[] =>
  sampleGraphs(RANDOM_GRAPHS_IN_WORKERD).map((graph, index) => ({
    name: `random${index}`,
    source: sourceOf(onnxOf(graph)),
    fixtures: fixturesOf(feedsFor(3, index)),
  }));

/** Where the tests inside workerd, which can't take snapshots, find theirs. */
export const SNAPSHOT_FOLDER = path.join(GENERATED, "test", "snapshots");

/** Sources that decide the bytes of a snapshot. */
const SOURCES = [
  "src/publish/frozen-clock.ts",
  "src/publish/snapshot.ts",
  "src/runtime/create-session.ts",
  "src/runtime/ort-module.ts",
  "src/runtime/session.ts",
  "src/runtime/snapshot/format.ts",
  "src/runtime/snapshot/page-reader.ts",
  "test/support/snapshot-cases.ts",
  "test/support/tensor-bits.ts",
];

/** Takes every snapshot that the tests inside workerd restore, unless it is there already. */
export async function storeSnapshots(): Promise<void> {
  await mkdir(SNAPSHOT_FOLDER, { recursive: true });
  const code = createHash("sha256").update((await runtimeIdentity()).digest);
  for (const source of SOURCES) code.update(await readFile(path.join(ROOT, source)));
  const codeDigest = code.digest("hex");
  const present = await readIndex();
  const index: Record<string, StoredCase> = {};
  for (const one of [...(await shippedCases()), ...SMALL_CASES, ...randomCases()]) {
    const key = digestOf(codeDigest, one.source.graph, wholeWeights(one), one.fixtures);
    const stored = present[one.name];
    index[one.name] = stored?.key === key ? stored : await store(one, key);
  }
  await write("index.json", JSON.stringify(index));
}

async function readIndex(): Promise<CaseIndex> {
  try {
    return JSON.parse(
      await readFile(path.join(SNAPSHOT_FOLDER, "index.json"), "utf8"),
    ) as CaseIndex;
  } catch {
    return {};
  }
}

async function store(one: SnapshotCase, key: string): Promise<StoredCase> {
  const { name, source, fixtures } = one;
  const weights = wholeWeights(one);
  const { bytes, memoryBytes } = await takeSnapshot(source, fixtures);
  const session = createSession(await startOrt(await runtimeModule()), source);
  const add = async (part: string, content: Uint8Array): Promise<string> => {
    await write(`${name}.${part}`, content);
    return `${name}.${part}`;
  };
  return {
    key,
    name,
    isShipped: one.isShipped === true,
    graph: await add("graph", source.graph),
    ...(weights && { weights: await add("weights", weights) }),
    snapshot: await add("snapshot", bytes),
    memoryBytes,
    inputs: session.inputs,
    outputs: session.outputs,
    cases: fixtures.cases.map((fixture) => ({
      feeds: fixture.inputs,
      answer: digestOf(bitsOf(session.run(feedsOf(fixture)))),
    })),
  };
}

function wholeWeights({ source }: SnapshotCase): Uint8Array | undefined {
  const data = source.weights?.data;
  return data?.subarray(0, data.byteLength);
}

function digestOf(...parts: readonly unknown[]): string {
  const hash = createHash("sha256");
  for (const part of parts)
    hash.update(part instanceof Uint8Array ? part : JSON.stringify(part ?? 0));
  return hash.digest("hex");
}

/** Several runs of the tests may write at once. */
async function write(file: string, content: Uint8Array | string): Promise<void> {
  const target = path.join(SNAPSHOT_FOLDER, file);
  const partial = `${target}.${process.pid}`;
  await writeFile(partial, content);
  await rename(partial, target);
}
