/**
 * Anytime-valid evidence. Each function answers the logarithm of an e-value: a number of at least 0 whose
 * mean is at most 1 as long as the hypothesis holds (here always "the candidate is within its limit"). By
 * Ville's inequality the chance that it *ever* reaches 1/alpha is then at most alpha, so it may be looked at
 * after every request, and a rollback at 1/alpha is a false alarm in at most alpha of all rollouts. A p-value
 * that is looked at as often is not bounded by anything.
 *
 * The e-values are Wald's likelihood ratios, averaged over a few fixed alternatives (a mean of e-values is
 * one). They are functions of counts: neither the order of events nor a restart in between changes them.
 *
 * Wald 1945, "Sequential tests of statistical hypotheses"; Ville 1939; Ramdas, Grünwald, Vovk and Shafer
 * 2023, "Game-theoretic statistics and safe anytime-valid inference", https://arxiv.org/abs/2210.01948.
 */

/** How many times worse than the limit the alternatives are. Denser near 1, where telling apart takes longest. */
const ALTERNATIVES = [1.5, 2, 3, 5, 8, 16, 32, 64];

/** Beyond it nothing is decided, and JSON has no infinity. */
const MOST_EVIDENCE = 1e12;

/**
 * Evidence against "at most a share `allowed` of all is bad".
 *
 * Each alternative p1 is compared with the limit itself, p0: one observation multiplies by p1/p0 when it is
 * bad, else by (1-p1)/(1-p0). That has a mean of 1 at p0, and of less at any smaller share, even if the share
 * changes from one to the next. So observations need not be alike; but each one's chance must hold whatever
 * the ones before it were. A single caller that sends the same bad input all day breaks that.
 *
 * A part of 1 may be bad, too: an observation of several items counts as one, by its share of bad items,
 * however much they depend on each other. The factor for it is then smaller than that of a bet which pays by
 * the share (the logarithm is concave), and that bet has a mean of at most 1.
 *
 * @returns the logarithm of the e-value
 */
export function proportionEvidence(bad: number, total: number, allowed: number): number {
  if (allowed >= 1 || total <= 0) return 0;
  if (allowed <= 0) return bad > 0 ? Infinity : 0;
  return logMean(
    ALTERNATIVES.map((times) => {
      // in odds, so that an alternative stays below 1; for small shares odds and shares are the same
      const odds = (times * allowed) / (1 - allowed);
      const alternative = odds / (1 + odds);
      return (
        bad * Math.log(alternative / allowed) +
        (total - bad) * Math.log((1 - alternative) / (1 - allowed))
      );
    }),
  );
}

/** Bad events of both versions during which the candidate had the same share of requests. */
export interface SplitStep {
  readonly badBaseline: number;
  readonly badCandidate: number;
  /** The candidate's part of both versions' requests, 0 to 1. */
  readonly share: number;
}

/**
 * Evidence against "the candidate's rate of bad events is at most `toleratedRatio` times the baseline's".
 *
 * Given that an event is bad, it is the candidate's with a chance of at most `s r / (s r + 1 - s)`, where s is
 * the candidate's share of requests and r the tolerated ratio. How bad the times are for both versions drops
 * out: an outage that hits both is no evidence against one. One alternative ratio holds for all steps, so the
 * steps' factors are multiplied before alternatives are averaged. With a share of 1 there is nobody to compare
 * with and no evidence.
 *
 * As share take the candidate's observed one. Which version answers is decided by a hash of the caller before
 * anybody knows how it goes, so the share does not depend on failures; the planned percentage is one of
 * callers, who differ in how much they ask. That it is known only afterwards makes the e-value smaller, not
 * larger: given the counts of requests, the bad ones of two equal versions are drawn without replacement, and
 * the mean of a convex function, such as this, is then at most that of independent draws (Hoeffding 1963,
 * theorem 4). That is so at any one look; the chance over all looks is computed exactly in
 * test/rollout/evidence.test.ts.
 *
 * The assumption is that bad events come independently of each other. Callers are sticky, so one who fails
 * all the time counts against a single version; the tolerated ratio and `least` are there for that.
 *
 * @returns the logarithm of the e-value
 */
export function ratioEvidence(steps: readonly SplitStep[], toleratedRatio: number): number {
  return logMean(
    ALTERNATIVES.map((times) => {
      const ratio = times * toleratedRatio;
      let log = 0;
      for (const { badBaseline, badCandidate, share } of steps) {
        const bad = badBaseline + badCandidate;
        if (bad === 0 || share >= 1) continue;
        const spread = (share * toleratedRatio + 1 - share) / (share * ratio + 1 - share);
        log += badCandidate * Math.log(times) + bad * Math.log(spread);
      }
      return log;
    }),
  );
}

/**
 * An upper bound of a share, from what was seen of it: the largest one against which the evidence is below
 * 1/`chance`. The chance that the share is ever above it is at most `chance`, however often it is asked.
 */
export function upperShare(bad: number, total: number, chance: number): number {
  let lower = total > 0 ? bad / total : 0;
  let upper = 1;
  // 30 halvings are a billionth, and each goes the same way on every machine
  for (let round = 0; round < 30; round++) {
    const middle = (lower + upper) / 2;
    const isRefuted = proportionEvidence(total - bad, total, 1 - middle) >= -Math.log(chance);
    if (isRefuted) upper = middle;
    else lower = middle;
  }
  return upper;
}

/** The e-value for people and JSON. */
export function eValue(log: number): number {
  return Math.min(Math.exp(log), MOST_EVIDENCE);
}

function logMean(logs: readonly number[]): number {
  const largest = Math.max(...logs);
  let sum = 0;
  for (const log of logs) sum += Math.exp(log - largest);
  return largest + Math.log(sum / logs.length);
}
