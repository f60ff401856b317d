import { warm } from "../../../../test/bench/warm.ts";
import { type Check, hold } from "../check.ts";

const SAMPLES = 5;
const MOST_OVERHEAD_MS = 0.5;

/** The benchmark `warm`, for iris. */
export const warmOverhead: Check<undefined> = {
  claim: "the whole stack costs iris less than half a millisecond over echo and bare run",
  async run() {
    const { cases } = await warm(SAMPLES, () => {}, ["iris"]);
    const [iris] = cases;
    hold(iris !== undefined, "iris was not measured");
    hold(iris.overheadMs < MOST_OVERHEAD_MS, `the overhead is ${iris.overheadMs} ms`);
    return { irisOverheadMs: iris.overheadMs, irisRequestsPerSecond: iris.requestsPerSecond };
  },
};
