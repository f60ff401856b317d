import { STABLE } from "../../../catalog/catalog.ts";
import { type Check, hold } from "../check.ts";
import { catalogNow, type Subject, typed } from "./subject.ts";

const IRIS = "iris";

/** Words, and what they must answer: an exit code, and something that is said. */
type Line = readonly [words: readonly string[], exitCode: number, said: RegExp, input?: string];

const FLAG = JSON.stringify({
  state: "ENABLED",
  variants: { current: STABLE, next: 1 },
  defaultVariant: "current",
  targeting: {
    fractional: [
      ["current", 90],
      ["next", 10],
    ],
  },
});

const LINES: readonly Line[] = [
  [["label", IRIS], 0, /stable/],
  [["label", IRIS, "canary", "1", "--dry-run"], 0, /canary/],
  [["label", IRIS, "canary"], 1, /canary/],
  [["label", IRIS, "canary", "1"], 0, /canary/],
  [["label", IRIS, "canary", "9"], 1, /9/],
  [["label", "irsi", "canary", "1"], 1, /iris/],
  [["label", IRIS, "canary", "--delete"], 0, /canary/],
  [["label", IRIS, STABLE, "--delete"], 1, /stable/],
  [["flag", "get", IRIS], 1, /flag set/],
  [["flag", "set", IRIS, "-"], 0, /iris/, FLAG],
  [["flag", "get", IRIS], 0, /fractional/],
  [["flag", "test", IRIS, "--user", "ada"], 0, /current/],
  [["flag", "set", IRIS, "-"], 1, /add up to 95/, FLAG.replace("90", "85")],
  [["flag", "set", IRIS, "-"], 1, /version 7/, FLAG.replace('"next":1', '"next":7')],
  [["flag", "set", IRIS, "-"], 1, /JSON/, "{"],
  [["rollout", "start", IRIS, "9"], 1, /9/],
  [["rollout", "start", IRIS, "1"], 1, /already/],
  [["rollout", "status", IRIS], 1, /rollout start/],
  [["flag", "set", IRIS, "--delete"], 0, /iris/],
  [["switch", IRIS, "--version", "1", "--off"], 1, /stable/],
  [["catalog", "history", "--limit", "3"], 0, /prove/],
  [["catalog", "diff", "1"], 0, /stable|No difference/i],
  [["catalog", "rollback", "99999"], 1, /99999/],
  [["audit", "--limit", "5"], 0, /flag/],
  [["rollout", "sart", IRIS, "1"], 2, /rollout start/],
];

/** Every command, as a new user would type it, with its refusals. */
export const commands: Check<Subject> = {
  claim: "every command does what it says, and each refusal names the fix",
  async run(subject) {
    for (const [words, exitCode, said, input] of LINES) {
      const outcome = await typed(subject, words, input);
      const shown = `nearside ${words.join(" ")}: exit ${outcome.exitCode}\n${outcome.out}${outcome.err}`;
      hold(outcome.exitCode === exitCode && said.test(outcome.out + outcome.err), shown);
    }
    const before = await catalogNow(subject);
    await typed(subject, ["label", IRIS, "blue", "1"]);
    const back = await typed(subject, ["catalog", "rollback", String(before.number)]);
    hold(back.exitCode === 0, back.err);
    const after = await catalogNow(subject);
    hold(after.models[IRIS]?.labels["blue"] === undefined, "the rollback left the label there");
    hold(after.number === before.number + 2, "the rollback is no catalog of its own");
    return { commandsTried: LINES.length + 2 };
  },
};
