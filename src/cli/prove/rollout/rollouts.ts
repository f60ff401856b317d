import { STABLE } from "../../../catalog/catalog.ts";
import { type Check, hold, rounded } from "../check.ts";
import { catalogNow, publishVariant, type Subject, typed } from "./subject.ts";
import { MODEL } from "./texts.ts";
import { Traffic } from "./traffic.ts";
import { follow } from "./walk.ts";

/** Long enough for every isolate to have read a step's catalog, and no longer: a proof should be over soon. */
const PLAN = [
  "--min-seconds=5",
  "--min-requests=15",
  "--min-comparisons=60",
  "--shadow-rate=0.5",
] as const;
/** Levels of the weights (models/guesslang/coarser.ts). */
const GOOD_LEVELS = 254;
const WORSE_LEVELS = 16;
const WORSE_VERSION = 900;
const GOOD_VERSION = 901;
const DEADLINE_MS = 120_000;

/** Guesslang with coarser weights comes back by itself, while callers notice nothing. */
export const worseVersion: Check<Subject> = {
  claim:
    "a version with coarser weights is rolled back by the disagreement guard; no request fails",
  async run(subject) {
    await publishVariant(subject, WORSE_VERSION, WORSE_LEVELS);
    const stable = (await catalogNow(subject)).models[MODEL]?.labels[STABLE];
    const { view, traffic } = await rollOut(subject, WORSE_VERSION);
    hold(view.status === "rolled_back", `it ended as ${view.status}: ${view.reason ?? ""}`);
    hold(
      view.reason?.includes("disagreement") === true,
      `another guard decided: ${view.reason ?? ""}`,
    );
    const { models, flags } = await catalogNow(subject);
    hold(models[MODEL]?.labels[STABLE] === stable, `"${STABLE}" was moved`);
    hold(flags?.flags[MODEL] === undefined, "the flag is still there");
    return {
      worseRequests: traffic.requests,
      worseAnsweredByCandidate: traffic.byVersion.get(WORSE_VERSION) ?? 0,
      worseFailures: traffic.failures.length,
      worseFlips: view.stats.comparisons.flips,
      worseCompared: view.stats.comparisons.items,
    };
  },
};

/** Guesslang with weights that change no answer goes all the way. */
export const goodVersion: Check<Subject> = {
  claim: `a good version is promoted through 1, 5, 25, 50 and 100 % and labelled ${STABLE}; shares within 1 % of 20,000 keys, nobody turned back; no request fails`,
  async run(subject) {
    await publishVariant(subject, GOOD_VERSION, GOOD_LEVELS);
    const { view, shares, traffic } = await rollOut(subject, GOOD_VERSION);
    hold(view.status === "promoted", `it ended as ${view.status}: ${view.reason ?? ""}`);
    hold(shares.size === view.plan.steps.length, `only ${shares.size} steps were seen`);
    const { models, flags } = await catalogNow(subject);
    hold(models[MODEL]?.labels[STABLE] === GOOD_VERSION, `"${STABLE}" is another version`);
    hold(flags?.flags[MODEL] === undefined, "the flag is still there");
    const off = Math.max(...[...shares].map(([planned, share]) => Math.abs(planned - share)));
    return {
      goodRequests: traffic.requests,
      goodAnsweredByCandidate: traffic.byVersion.get(GOOD_VERSION) ?? 0,
      goodFailures: traffic.failures.length,
      unsteadyCallers: traffic.unsteady.length,
      largestShareError: rounded(off, 2),
      goodCompared: view.stats.comparisons.items,
    };
  },
};

async function rollOut(subject: Subject, version: number) {
  const started = await typed(subject, ["rollout", "start", MODEL, String(version), ...PLAN]);
  hold(started.exitCode === 0, `it did not start: ${started.err}`);
  const traffic = new Traffic(subject);
  try {
    const walk = await follow(subject, DEADLINE_MS);
    subject.say(`    ${walk.view.status}: ${walk.view.reason ?? ""}`);
    await traffic.stop();
    const [failure] = traffic.failures;
    hold(failure === undefined, `${traffic.failures.length} requests failed, such as: ${failure}`);
    const [unsteady] = traffic.unsteady;
    hold(unsteady === undefined, `a caller got two versions: ${unsteady}`);
    return { ...walk, traffic };
  } finally {
    await traffic.stop();
  }
}
