import { NearsideError } from "../errors.ts";
import type { BlobRef, Manifest, Member } from "./manifest.ts";

/** What a member of an ensemble is called where it is served as a model of its own: in origin pools. */
export function memberName(ensemble: string, member: string): string {
  return `${ensemble}_${member}`;
}

/** One graph of an ensemble as a model of its own: tensors in, tensors out. */
export function memberManifest(manifest: Manifest, name: string, member: Member): Manifest {
  const { members: _, snapshot: __, weights: ___, ...rest } = manifest;
  const { graph, weights, snapshot, inputs, outputs, heapBytes } = member;
  return {
    ...rest,
    name: memberName(manifest.name, name),
    task: { type: "tensor" },
    graph,
    ...(weights && { weights }),
    ...(snapshot && { snapshot }),
    inputs,
    outputs,
    assets: {},
    memory: { heapBytes, taskBytes: 0 },
  };
}

/** The graphs of a version by member, each as a model of its own; a model of one graph is its only one, called "". */
export function graphsOf(manifest: Manifest): ReadonlyMap<string, Manifest> {
  if (manifest.members === undefined) return new Map([["", manifest]]);
  return new Map(
    Object.entries(manifest.members).map(([name, member]) => [
      name,
      memberManifest(manifest, name, member),
    ]),
  );
}

/** @throws NearsideError `model_load_failed` for an ensemble */
export function graphOf({ name, graph }: Manifest): BlobRef {
  if (graph !== undefined) return graph;
  throw new NearsideError("model_load_failed", `"${name}" is an ensemble: it has no one graph.`);
}
