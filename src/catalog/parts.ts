import type { BlobRef, Manifest } from "./manifest.ts";

/** One blob of a version, and what it is to it: `graph`, `weights`, `snapshot`, `asset tokenizer`. */
export interface Part extends BlobRef {
  readonly part: string;
}

/** Every blob that a version consists of. */
export function partsOf({ graph, weights, snapshot, originBuild, assets }: Manifest): Part[] {
  return [
    part("graph", graph),
    ...(weights ? [part("weights", weights)] : []),
    ...(snapshot ? [part("snapshot", snapshot)] : []),
    ...(originBuild ? [part("origin graph", originBuild.graph)] : []),
    ...Object.entries(assets).map(([name, ref]) => part(`asset ${name}`, ref)),
  ];
}

function part(name: string, { digest, bytes }: BlobRef): Part {
  return { part: name, digest, bytes };
}
