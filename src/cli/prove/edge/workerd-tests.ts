import { readFile, rm } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { GENERATED } from "../../../publish/workspace.ts";
import { runQuietly } from "../../processes.ts";
import { type Check, hold } from "../check.ts";

const Report = v.object({
  numTotalTests: v.number(),
  numPassedTests: v.number(),
  success: v.boolean(),
});

/** Single-flight loading, eviction, accounting, leaks, repairs and calls on bindings are seen from inside. */
export const workerdTests: Check<undefined> = {
  claim:
    "the tests inside workerd pass: one load for twenty, exact eviction, no leak, repairs, no I/O when warm",
  async run() {
    const file = path.join(GENERATED, "workerd-tests.json");
    await rm(file, { force: true });
    await runQuietly("vitest", [
      "run",
      "--project",
      "workerd",
      "--reporter",
      "json",
      "--outputFile",
      file,
    ]);
    const report = v.parse(Report, JSON.parse(await readFile(file, "utf8")));
    hold(report.success && report.numPassedTests > 0, "a test failed");
    return { workerdTestsPassed: report.numPassedTests };
  },
};
