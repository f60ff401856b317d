import {
  eValue,
  proportionEvidence,
  ratioEvidence,
  type SplitStep,
  upperShare,
} from "../evidence.ts";
import type { RolloutPlan } from "../plan.ts";
import type { ArmStats, RolloutStats } from "../stats.ts";
import type { GuardFinding, Settings } from "./finding.ts";
import { rateOf, shareOf } from "./rates.ts";
import { count, percent, weight } from "./words.ts";

/** A version that fails more often than this is broken, even if its baseline was never seen: with a plan of 100 % only. */
const MOST_ERRORS = 0.5;
/** The guard's chance of a false alarm, by its tests. The last one seldom decides: whoever fails does so early. */
const OF_CHANCE = { beside: 3 / 4, alone: 1 / 8, bound: 1 / 8 };

/**
 * Two tests that share the guard's chance. Beside the baseline: the ratio of rates over all steps that both
 * versions answered at. Alone, at 100 %: the candidate's rate against the most that the baseline's can be by
 * what was seen of it before. That this bound is wrong has a part of the chance, too, so that all three together
 * stay within it.
 */
export function findErrors(
  steps: RolloutPlan["steps"],
  { ratio, least }: Settings<"errors">,
  stats: RolloutStats,
  chance: number,
): GuardFinding {
  const isAlone = (_: unknown, at: number) => steps[at] === 100;
  const beside = stats.steps.filter(
    (step, at) => !isAlone(step, at) && step.baseline.requests > 0 && step.candidate.requests > 0,
  );
  const candidate = sumOf(beside.map((step) => step.candidate));
  // at the candidate's mix of steps: a bad hour before it had traffic is not compared with a good one after
  const expected = beside.reduce(
    (sum, step) => sum + (step.candidate.requests * step.baseline.errors) / step.baseline.requests,
    0,
  );
  const splits = beside.map((step): SplitStep => ({
    badBaseline: step.baseline.errors,
    badCandidate: step.candidate.errors,
    share: shareOf(step.candidate.requests, step.baseline.requests),
  }));
  const together = {
    requests: candidate.requests,
    baseline: rateOf(expected, candidate.requests),
    candidate: rateOf(candidate.errors, candidate.requests),
    log: ratioEvidence(splits, ratio),
    needed: 1 / (chance * OF_CHANCE.beside),
    allowed: (rate: number) => Math.max(rate + least, rate * ratio),
  };

  const before = sumOf(stats.steps.map((step) => step.baseline));
  const last = sumOf(stats.steps.filter(isAlone).map((step) => step.candidate));
  const limit =
    last.requests === 0 || before.requests === 0
      ? MOST_ERRORS
      : Math.min(
          1,
          Math.max(
            least,
            ratio * upperShare(before.errors, before.requests, chance * OF_CHANCE.bound),
          ),
        );
  const alone = {
    requests: last.requests,
    baseline: rateOf(before.errors, before.requests),
    candidate: rateOf(last.errors, last.requests),
    log: proportionEvidence(last.errors, last.requests, limit),
    needed: 1 / (chance * OF_CHANCE.alone),
    allowed: () => limit,
  };

  const isBroken = (test: typeof together) =>
    test.log >= Math.log(test.needed) && test.candidate - test.baseline > least;
  const strength = (test: typeof together) => test.log - Math.log(test.needed);
  const shown =
    [together, alone].find(isBroken) ??
    (alone.requests > 0 && strength(alone) >= strength(together) ? alone : together);
  const allowed = shown.allowed(shown.baseline);
  const evidence = eValue(shown.log);
  const isKnown = shown.requests > 0;
  return {
    guard: "errors",
    broken: isBroken(shown),
    observed: isKnown ? { baseline: shown.baseline, candidate: shown.candidate } : {},
    allowed,
    evidence,
    needed: shown.needed,
    sentence: isKnown
      ? `${percent(shown.candidate)} of the candidate's ${count(shown.requests)} requests failed${
          shown === alone ? " at 100 %" : ""
        }, ${percent(shown.baseline)} of the baseline's; up to ${percent(allowed)} is allowed; ${weight(evidence, shown.needed)}.`
      : "No request of the candidate can be compared with the baseline's yet.",
  };
}

function sumOf(arms: readonly ArmStats[]): { requests: number; errors: number } {
  let requests = 0;
  let errors = 0;
  for (const arm of arms) {
    requests += arm.requests;
    errors += arm.errors;
  }
  return { requests, errors };
}
