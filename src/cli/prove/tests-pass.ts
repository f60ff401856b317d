import { readFile, rm } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { GENERATED } from "../../publish/workspace.ts";
import { runQuietly } from "../processes.ts";
import { type Check, hold } from "./check.ts";

const Report = v.object({ numPassedTests: v.number(), success: v.boolean() });

/** The tests of these places pass, and there are some. */
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
      await runQuietly("vitest", ["run", ...words, ...places]);
      const report = v.parse(Report, JSON.parse(await readFile(file, "utf8")));
      hold(report.success && report.numPassedTests > 0, "a test failed");
      return { [figure]: report.numPassedTests };
    },
  };
}
