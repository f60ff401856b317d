import { eValue, ratioEvidence, type SplitStep } from "../evidence.ts";
import { countAbove, mergeHistograms, quantile } from "../histogram.ts";
import type { RolloutStats } from "../stats.ts";
import type { GuardFinding, Settings } from "./finding.ts";
import { shareOf } from "./rates.ts";
import { count, milliseconds, times, weight } from "./words.ts";

/** Placements times starts: each is a test of its own, so each gets its part of the false alarms. */
const LATENCY_STRATA = 6;
const PERCENTILE = 0.95;
/** Fewer of the baseline's answers don't say where its 95th percentile is. */
const LEAST_ANSWERS = 100;

/**
 * A version is slow where more of its answers than of the baseline's take longer than the limit, which is the
 * baseline's 95th percentile times the ratio: counts, so that evidence is what it is for errors. Compared
 * within the same placement and start, and step by step, so that neither a new version's cold starts nor a
 * slow hour count. At 100 % nobody is left to compare with, and what was found before stays.
 */
export function findLatency(
  { ratio: limit }: Settings<"latency">,
  stats: RolloutStats,
  chance: number,
): GuardFinding {
  const needed = LATENCY_STRATA / chance;
  const strata = new Set(stats.steps.flatMap((step) => Object.keys(step.candidate.latency)));
  const found = [...strata].flatMap((stratum) => {
    const both = stats.steps.flatMap((step) => {
      const baseline = step.baseline.latency[stratum];
      const candidate = step.candidate.latency[stratum];
      return baseline === undefined || candidate === undefined ? [] : [{ baseline, candidate }];
    });
    const baseline = mergeHistograms(...both.map((step) => step.baseline));
    const candidate = mergeHistograms(...both.map((step) => step.candidate));
    const usual = quantile(baseline, PERCENTILE);
    const observed = quantile(candidate, PERCENTILE);
    if (baseline.count < LEAST_ANSWERS || !usual || observed === undefined) return [];
    const splits = both.map((step): SplitStep => ({
      badBaseline: countAbove(step.baseline, usual * limit),
      badCandidate: countAbove(step.candidate, usual * limit),
      share: shareOf(step.candidate.count, step.baseline.count),
    }));
    const log = ratioEvidence(splits, 1);
    const ratio = observed / usual;
    const broken = log >= Math.log(needed) && ratio > limit;
    return [{ stratum, answers: candidate.count, usual, observed, ratio, log, broken }];
  });
  const [worst] = found.sort((a, b) => Number(b.broken) - Number(a.broken) || b.log - a.log);
  const evidence = eValue(worst?.log ?? 0);
  return {
    guard: "latency",
    broken: worst?.broken ?? false,
    observed:
      worst === undefined
        ? {}
        : { baseline: worst.usual, candidate: worst.observed, ratio: worst.ratio },
    allowed: limit,
    evidence,
    needed,
    sentence:
      worst === undefined
        ? "No placement and start has enough answers of both versions to compare their times yet."
        : `95 % of the candidate's ${count(worst.answers)} answers (${worst.stratum}) took at most ${milliseconds(worst.observed)}, of the baseline's ${milliseconds(worst.usual)}: ${times(worst.ratio)}, ${times(limit)} is allowed; ${weight(evidence, needed)}.`,
  };
}
