import type { Comparison } from "../../catalog/manifest.ts";
import { ReferenceSession } from "../onnx/reference-session.ts";
import type { Candidate } from "../publish.ts";
import { feedsOf } from "../source.ts";
import { compareOutputs, IDENTICAL, worseOf } from "./compare.ts";
import { differencesFrom } from "./trial.ts";

export interface NativeTrial {
  readonly comparison: Comparison;
  /** A sentence for each output that is not what its fixture expects. */
  readonly unexpected: readonly string[];
}

/** For a model that has no edge build: every fixture in the native runtime, which is what an origin has. */
export async function tryNatively(
  { onnx, fixtures }: Candidate,
  reference: Uint8Array,
): Promise<NativeTrial> {
  const [candidate, original] = await Promise.all([
    ReferenceSession.create(onnx),
    ReferenceSession.create(reference),
  ]);
  try {
    let comparison = IDENTICAL;
    const unexpected: string[] = [];
    for (const fixture of fixtures.cases) {
      const seen = await candidate.run(feedsOf(fixture));
      const expected = await original.run(feedsOf(fixture));
      comparison = worseOf(comparison, compareOutputs(seen, expected));
      unexpected.push(...differencesFrom(fixture, seen));
    }
    return { comparison, unexpected };
  } finally {
    await Promise.all([candidate.release(), original.release()]);
  }
}
