import { describe, expect, it } from "vitest";

import { partsOf } from "../../src/catalog/parts.ts";
import { manifestOf } from "../support/manifests.ts";

const blob = (bytes: number) => ({ digest: String(bytes).padStart(64, "0"), bytes });

describe("partsOf", () => {
  it("lists every blob of a version, what origins run too", () => {
    const manifest = manifestOf({
      graph: blob(1),
      weights: { name: "weights.bin", ...blob(2) },
      snapshot: { runtime: "0".repeat(64), ...blob(3) },
      originBuild: { graph: blob(4) },
      assets: { tokenizer: blob(5) },
    });
    expect(partsOf(manifest)).toEqual([
      { part: "graph", ...blob(1) },
      { part: "weights", ...blob(2) },
      { part: "snapshot", ...blob(3) },
      { part: "origin graph", ...blob(4) },
      { part: "asset tokenizer", ...blob(5) },
    ]);
  });

  it("lists no more than the graph where there is no more", () => {
    expect(partsOf(manifestOf({ graph: blob(1) }))).toEqual([{ part: "graph", ...blob(1) }]);
  });
});
