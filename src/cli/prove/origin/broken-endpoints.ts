import { type Check, hold, rounded } from "../check.ts";
import { ALL_PAIRS, runFaultMatrix } from "./faults.ts";

/** Every fault in several pairs; all 78 take five minutes. */
const EVERY = 5;
const LEAST_SUCCESS = 0.999;

/** The origin Worker with two of four endpoints broken, on real sockets. */
export const brokenEndpoints: Check<undefined> = {
  claim:
    "with two of four endpoints broken (refusing, hanging, resetting, failing, slow, corrupt, short, stalling, skewed, or answering 200 with an error, a page or nothing) 99.9 % of requests are answered, retries keep their budget, and all four come back",
  async run() {
    const pairs = ALL_PAIRS.filter((_, at) => at % EVERY === 0);
    const result = await runFaultMatrix(pairs, {}, (line) => console.log(`    ${line}`));
    hold(result.success >= LEAST_SUCCESS, `${result.failures} of ${result.requests} failed`);
    hold(result.withinBudget, "a pool retried more than its budget allows");
    hold(result.recovered, "a pool was not whole again");
    return {
      faultPairs: pairs.length,
      faultRequests: result.requests,
      faultFailures: result.failures,
      slowestRecoveryMs: Math.round(Math.max(...result.pairs.map((pair) => pair.recoveredMs ?? 0))),
      success: rounded(result.success, 5),
    };
  },
};
