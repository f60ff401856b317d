import type { BlobRef, Manifest } from "./manifest.ts";

/** One blob of a version, and what it is to it: `graph`, `weights`, `detector snapshot`, `asset tokenizer`. */
export interface Part extends BlobRef {
  readonly part: string;
}

/** Every blob that a version consists of. */
export function partsOf(manifest: Manifest): Part[] {
  const { originBuild, assets, members = {} } = manifest;
  return [
    ...graphParts("", manifest),
    ...Object.entries(members).flatMap(([name, member]) => graphParts(`${name} `, member)),
    ...(originBuild ? [part("origin graph", originBuild.graph)] : []),
    ...Object.entries(assets).map(([name, ref]) => part(`asset ${name}`, ref)),
  ];
}

function graphParts(
  of: string,
  { graph, weights, snapshot }: Pick<Manifest, "graph" | "weights" | "snapshot">,
): Part[] {
  return [
    ...(graph ? [part(`${of}graph`, graph)] : []),
    ...(weights ? [part(`${of}weights`, weights)] : []),
    ...(snapshot ? [part(`${of}snapshot`, snapshot)] : []),
  ];
}

function part(name: string, { digest, bytes }: BlobRef): Part {
  return { part: name, digest, bytes };
}
