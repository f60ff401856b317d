import { describe, expect, it } from "vitest";

import { type TestReport, problemsOf } from "../../../src/cli/prove/tests-pass.ts";

const file = (name: string, ...statuses: readonly string[]) => ({
  name: `/somewhere/${name}`,
  assertionResults: statuses.map((status, at) => ({ fullName: `${name} ${at}`, status })),
});

function report(...testResults: TestReport["testResults"]): TestReport {
  const statuses = testResults.flatMap((one) => one.assertionResults.map(({ status }) => status));
  const numPassedTests = statuses.filter((status) => status === "passed").length;
  return { success: !statuses.includes("failed"), numPassedTests, testResults };
}

const [CLIENT, PAGES] = ["test/e2e/client.test.ts", "test/e2e/ocr.test.ts"];

describe("a claim that tests should show", () => {
  it.each([
    ["whose places all have passed tests", [CLIENT, PAGES], [CLIENT, PAGES]],
    ["of a folder with several files", [CLIENT, PAGES], ["test/e2e"]],
    ["of a whole project", [CLIENT], []],
  ])("holds for one %s", (_, files, places) => {
    expect(problemsOf(report(...files.map((name) => file(name, "passed"))), places)).toEqual([]);
  });

  it.each([
    [
      "a file that is not there",
      report(file(CLIENT, "passed")),
      [CLIENT, PAGES],
      [`no test of ${PAGES} passed`],
    ],
    [
      "a file without tests",
      report(file(CLIENT, "passed"), file(PAGES)),
      [CLIENT, PAGES],
      [`no test of ${PAGES} passed`],
    ],
    [
      "a file whose tests are all skipped",
      report(file(CLIENT, "passed"), file(PAGES, "skipped", "skipped")),
      [CLIENT, PAGES],
      [`no test of ${PAGES} passed`, `skipped: "${PAGES} 0"`, `skipped: "${PAGES} 1"`],
    ],
    [
      "one that was put off",
      report(file(CLIENT, "passed", "todo")),
      [CLIENT],
      [`todo: "${CLIENT} 1"`],
    ],
    ["no test at all", report(), [], ["something failed, or there is no test"]],
    [
      "one that failed",
      report(file(CLIENT, "passed", "failed")),
      [],
      ["something failed, or there is no test", `failed: "${CLIENT} 1"`],
    ],
    [
      "many that were skipped",
      report(file(CLIENT, "passed", ...Array.from({ length: 9 }, () => "pending"))),
      [],
      [1, 2, 3].map((at) => `pending: "${CLIENT} ${at}"`).concat("and 6 more"),
    ],
  ])("does not hold with %s", (_, found, places, problems) => {
    expect(problemsOf(found, places)).toEqual(problems);
  });
});
