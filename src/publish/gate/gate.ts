import type { GateReport, Manifest, Thresholds } from "../../catalog/manifest.ts";
import { memberName } from "../../catalog/members.ts";
import type { PublishTarget } from "../bucket.ts";
import { PublishError } from "../error.ts";
import { type Candidate, publishCandidate, publishedVersion } from "../publish.ts";
import { failuresOf, thresholdsFor } from "./compare.ts";
import { inspect } from "./inspect.ts";
import { type GatedGraph, readGatedSource, type SourceOptions } from "./sources.ts";
import { together } from "./together.ts";
import { type NativeTrial, tryNatively } from "./native-trial.ts";
import { type Trial, type TrialEdge, tryInWorkerd } from "./trial.ts";

export interface Gated {
  readonly manifest: Manifest;
  /** Absent when the version was there already. */
  readonly report?: GateReport;
}

/** A candidate that failed, with what was found: it is not published. */
export class GateError extends PublishError {
  readonly report: GateReport;
  readonly failures: readonly string[];

  constructor(name: string, failures: readonly string[], report: GateReport) {
    super("below_threshold", `${name} is not published: ${failures.join("; ")}.`);
    this.report = report;
    this.failures = failures;
  }
}

/**
 * Publishes a model of which nothing is known: checks its graph, optimises, quantizes, lets the real edge
 * answer its fixtures in real workerd, compares with the unquantized model, and publishes only if every
 * threshold holds. Interrupted anywhere and repeated, it ends in the same state.
 *
 * @throws PublishError, GateError
 */
export async function publishThroughGate(
  place: string,
  target: PublishTarget,
  options: SourceOptions,
  startEdge: () => Promise<TrialEdge>,
  say: (line: string) => void,
): Promise<Gated> {
  const gated = await readGatedSource(place, options, say);
  const { source, sourceDigest } = gated;
  const { name, version } = source;
  const present = await publishedVersion(target, name, version, sourceDigest, say);
  if (present !== undefined) return { manifest: present };

  const built = await gated.build(say);
  const { assets } = built;
  if (!("members" in built)) {
    const candidate = { source, sourceDigest, ...built };
    const { report, failures } = await examine(candidate, built, startEdge, say);
    if (failures.length > 0) throw new GateError(`${name} ${version}`, failures, report);
    return {
      manifest: await publishCandidate({ ...candidate, gate: report }, target, say),
      report,
    };
  }
  const examined: Examined[] = [];
  for (const [member, graph] of Object.entries(built.members)) {
    say(`its ${member}:`);
    // Tried as a model of its own, so that its tensors can be asked for.
    const alone = { ...source, name: memberName(name, member), task: { type: "tensor" as const } };
    const candidate = { source: alone, sourceDigest, assets: {}, ...graph };
    const { report, failures } = await examine(candidate, graph, startEdge, say);
    examined.push({ report, failures: failures.map((failure) => `${member}: ${failure}`) });
  }
  const report = together(examined.map((one) => one.report));
  const failures = examined.flatMap((one) => one.failures);
  if (failures.length > 0) throw new GateError(`${name} ${version}`, failures, report);
  const candidate = { source, sourceDigest, assets, members: built.members, gate: report };
  return { manifest: await publishCandidate(candidate, target, say), report };
}

interface Examined {
  readonly report: GateReport;
  readonly failures: readonly string[];
}

async function examine(
  candidate: Candidate,
  { onnx, reference, fixtures, isExpected, quantization }: GatedGraph,
  startEdge: () => Promise<TrialEdge>,
  say: (line: string) => void,
): Promise<Examined> {
  const { operators, opset } = inspect(onnx);
  const trial = await tryOut(candidate, reference, startEdge, say);
  const thresholds: Thresholds = thresholdsFor(quantization, candidate.source.thresholds);
  const tried = trial.manifest;
  const report: GateReport = {
    operators,
    opset,
    quantization,
    fixtures: `${fixtures.cases.length}: ${fixtures.source}`,
    comparison: trial.comparison,
    thresholds,
    bytes: {
      source: reference.length,
      graph: tried?.graph?.bytes ?? onnx.length,
      weights: tried?.weights?.bytes ?? 0,
      snapshot: tried?.snapshot?.bytes ?? 0,
    },
    heapBytes: tried?.memory.heapBytes ?? 0,
    ...(trial.coldMs !== undefined && { coldMs: rounded(trial.coldMs) }),
    ...(trial.warmMs !== undefined && { warmMs: rounded(trial.warmMs) }),
  };
  const failures = [
    ...failuresOf(trial.comparison, thresholds),
    ...(isExpected ? trial.unexpected : []),
  ];
  return { report, failures };
}

/** In the edge's runtime; a model without an edge build in the native one. */
async function tryOut(
  candidate: Candidate,
  reference: Uint8Array,
  startEdge: () => Promise<TrialEdge>,
  say: (line: string) => void,
): Promise<NativeTrial & Partial<Trial>> {
  if (candidate.source.edge === false) {
    say("trying it in the native runtime: it has no edge build");
    return tryNatively(candidate, reference);
  }
  say("trying it in workerd: restored, loaded, and against the native runtime");
  return tryInWorkerd(candidate, reference, startEdge);
}

function rounded(milliseconds: number): number {
  return Number(milliseconds.toFixed(2));
}
