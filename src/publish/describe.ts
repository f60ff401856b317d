import { createHash } from "node:crypto";

import * as v from "valibot";

import { type BlobRef, Manifest, type Member } from "../catalog/manifest.ts";
import { blobKey } from "../store/layout.ts";
import { externalize } from "./onnx/externalize.ts";
import { signature } from "./onnx/signature.ts";
import type { Candidate, CandidateGraph, EnsembleCandidate } from "./publish.ts";
import { runtimeIdentity } from "./runtime.ts";
import { takeSnapshot } from "./snapshot.ts";

const WEIGHTS_NAME = "weights.bin";

/**
 * JS memory of a task's assets per byte of them: a tokenizer.json of 0.7 MB becomes maps of 8.2 MB
 * (measured: heap before and after, minilm's tokenizer, Node 24).
 */
const ASSET_EXPANSION = 12;

/** A manifest and the blobs that it names. */
export interface Publication {
  readonly manifest: Manifest;
  /** By key in the bucket. */
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

/** Splits each graph from its weights, takes its snapshot, and names everything by its digest. */
export async function describe(
  built: Candidate | EnsembleCandidate,
  withOriginBuild: boolean,
): Promise<Publication> {
  const { originBuild, ...source } = built.source;
  const blobs = new Map<string, Uint8Array>();
  const add = (bytes: Uint8Array): BlobRef => {
    const digest = createHash("sha256").update(bytes).digest("hex");
    blobs.set(blobKey(digest), bytes);
    return { digest, bytes: bytes.length };
  };
  // In the order of a cached build, so that the manifest is the same bytes.
  const names = Object.keys(built.assets).toSorted();
  const assets = Object.fromEntries(
    names.map((name) => [name, add(built.assets[name] ?? new Uint8Array())]),
  );
  const assetBytes = Object.values(assets).reduce((sum, { bytes }) => sum + bytes, 0);
  const hasEdgeBuild = source.edge !== false;
  const graphs =
    "members" in built
      ? await describeMembers(built, hasEdgeBuild, add)
      : await describeGraph(built, hasEdgeBuild, add);
  const reference = "members" in built ? undefined : built.reference;
  const origin = withOriginBuild && originBuild !== undefined ? reference : undefined;
  const { heapBytes, ...described } = graphs;
  const manifest = v.parse(Manifest, {
    schema: 1,
    ...source,
    sourceDigest: built.sourceDigest,
    ...described,
    ...(origin && { originBuild: { graph: add(origin) } }),
    assets,
    memory: { heapBytes, taskBytes: assetBytes * ASSET_EXPANSION },
    ...(built.gate && { gate: built.gate }),
  });
  return { manifest, blobs };
}

async function describeMembers(
  { members }: EnsembleCandidate,
  hasEdgeBuild: boolean,
  add: (bytes: Uint8Array) => BlobRef,
) {
  const described: Record<string, Member> = {};
  let heapBytes = 0;
  for (const name of Object.keys(members).toSorted()) {
    const graph = members[name];
    if (graph === undefined) continue;
    const member = await describeGraph(graph, hasEdgeBuild, add);
    described[name] = member;
    heapBytes += member.heapBytes;
  }
  return { members: described, inputs: [], outputs: [], heapBytes };
}

async function describeGraph(
  { onnx, fixtures, largest }: CandidateGraph,
  hasEdgeBuild: boolean,
  add: (bytes: Uint8Array) => BlobRef,
): Promise<Member> {
  const { graph, weights } = externalize(onnx, WEIGHTS_NAME);
  const { inputs, outputs } = signature(onnx);
  const session = { graph, ...(weights && { weights: { name: WEIGHTS_NAME, data: weights } }) };
  const taken = hasEdgeBuild ? await takeSnapshot(session, fixtures, largest) : undefined;
  const { digest: runtime } = await runtimeIdentity();
  return {
    graph: add(graph),
    ...(weights && { weights: { name: WEIGHTS_NAME, ...add(weights) } }),
    ...(taken && { snapshot: { ...add(taken.bytes), runtime } }),
    inputs,
    outputs,
    heapBytes: taken?.memoryBytes ?? 0,
  };
}
