import { env } from "cloudflare:workers";

import type { Manifest, TensorSpec } from "../../src/catalog/manifest.ts";
import type { SessionSource } from "../../src/runtime/create-session.ts";
import { arrayOf, type Datatype, type Tensor } from "../../src/runtime/tensor.ts";
import { putBlob } from "./publish-graph.ts";
import { manifestOf } from "./manifests.ts";
import identity from "../../.nearside/runtime/runtime.json";

const WEIGHTS_NAME = "weights.bin";

interface StoredTensor {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}

/** A snapshot that was taken in Node, what it was taken of, and what the session answered there. */
export interface StoredCase {
  readonly key: string;
  readonly name: string;
  /** Whether it is a model that ships, with its own fixtures. */
  readonly isShipped: boolean;
  /** Names of files. */
  readonly graph: string;
  readonly weights?: string;
  readonly snapshot: string;
  readonly memoryBytes: number;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly cases: readonly {
    readonly feeds: Readonly<Record<string, StoredTensor>>;
    /** SHA-256 of the JSON string of the bits. */
    readonly answer: string;
  }[];
}

export type CaseIndex = Readonly<Record<string, StoredCase>>;

export async function readCases(): Promise<CaseIndex> {
  return (await fileOf("index.json")).json<CaseIndex>();
}

export async function bytesOf(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await fileOf(name)).arrayBuffer());
}

async function fileOf(name: string): Promise<Response> {
  const response = await env.TEST_FILES.fetch(`https://files.test/${name}`);
  if (!response.ok) throw new Error(`The tests' set-up has not written ${name}.`);
  return response;
}

/** Publishes a case as a model: graph, weights, and a snapshot, which may be another one. */
export async function publishCase(
  bucket: R2Bucket,
  stored: StoredCase,
  overrides: Partial<Manifest> = {},
): Promise<Manifest> {
  const { name, graph, weights, snapshot, memoryBytes, inputs, outputs } = stored;
  return manifestOf({
    name,
    graph: await putBlob(bucket, await bytesOf(graph)),
    ...(weights !== undefined && {
      weights: { name: WEIGHTS_NAME, ...(await putBlob(bucket, await bytesOf(weights))) },
    }),
    snapshot: { ...(await putBlob(bucket, await bytesOf(snapshot))), runtime: identity.digest },
    inputs: [...inputs],
    outputs: [...outputs],
    memory: { heapBytes: memoryBytes, taskBytes: 0 },
    ...overrides,
  });
}

/** What a session is created from. */
export async function sourceOf({ graph, weights }: StoredCase): Promise<SessionSource> {
  return {
    graph: await bytesOf(graph),
    ...(weights !== undefined && {
      weights: { name: WEIGHTS_NAME, data: await bytesOf(weights) },
    }),
  };
}

export function feedsOf(feeds: StoredCase["cases"][number]["feeds"]): Record<string, Tensor> {
  const tensors = Object.entries(feeds).map(([name, tensor]) => [name, tensorOf(tensor)] as const);
  return Object.fromEntries(tensors);
}

function tensorOf({ datatype, shape, data }: StoredTensor): Tensor {
  if (datatype === "BYTES") return { datatype, shape, data: data.map(String) };
  const numbers = data.map(Number);
  if (datatype === "INT64") return { datatype, shape, data: BigInt64Array.from(numbers, BigInt) };
  if (datatype === "UINT64") return { datatype, shape, data: BigUint64Array.from(numbers, BigInt) };
  return { datatype, shape, data: arrayOf(datatype).from(numbers) } as Tensor;
}
