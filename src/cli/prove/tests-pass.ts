import { readFile, rm } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { GENERATED } from "../../publish/workspace.ts";
import { runQuietly } from "../processes.ts";
import { type Check, hold } from "./check.ts";

const Report = v.object({
  success: v.boolean(),
  numPassedTests: v.number(),
  testResults: v.array(
    v.object({
      name: v.string(),
      assertionResults: v.array(v.object({ fullName: v.string(), status: v.string() })),
    }),
  ),
});

/** So that a line stays one that somebody reads. */
const MOST_NAMED = 3;

/** What vitest found, as its reporter "json" writes it. */
export type TestReport = v.InferOutput<typeof Report>;

/** All tests of these places pass, and there are some in each; without places, in the whole project. */
export function testsPass(
  claim: string,
  project: "node" | "e2e" | "workerd" | "control",
  places: readonly string[],
  figure: string,
): Check<undefined> {
  return {
    claim,
    async run() {
      const file = path.join(GENERATED, `${figure}.json`);
      await rm(file, { force: true });
      const words = ["--project", project, "--reporter", "json", "--outputFile", file];
      const failure = await runQuietly("vitest", ["run", ...words, ...places]).catch(
        (error: Error) => error,
      );
      const report = await readReport(file, failure);
      const problems = problemsOf(report, places);
      hold(problems.length === 0, problems.join("; "));
      if (failure !== undefined) throw failure;
      return { [figure]: report.numPassedTests };
    },
  };
}

/** @param failure of vitest, which may have got as far as a report */
async function readReport(file: string, failure: Error | void): Promise<TestReport> {
  try {
    return v.parse(Report, JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    throw failure ?? error;
  }
}

/** Why a claim does not follow from these tests: some failed, some were skipped, or there are none in a place. */
export function problemsOf(
  { success, numPassedTests, testResults }: TestReport,
  places: readonly string[],
): string[] {
  const problems = success && numPassedTests > 0 ? [] : ["something failed, or there is no test"];
  for (const place of places) {
    const files = testResults.filter(({ name }) => name.includes(place));
    const tests = files.flatMap(({ assertionResults }) => assertionResults);
    if (!tests.some(isPassed)) problems.push(`no test of ${place} passed`);
  }
  // By name: a suite that skips its tests says in its title what is missing.
  const others = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter((test) => !isPassed(test))
    .map(({ status, fullName }) => `${status}: "${fullName}"`);
  problems.push(...others.slice(0, MOST_NAMED));
  if (others.length > MOST_NAMED) problems.push(`and ${others.length - MOST_NAMED} more`);
  return problems;
}

const isPassed = ({ status }: { readonly status: string }): boolean => status === "passed";
