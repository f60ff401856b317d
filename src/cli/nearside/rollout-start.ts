import type { Command, CommandContext } from "./command.ts";
import { Rollout } from "./control-schemas.ts";
import { decimalNumber, wholeNumber, wholeWord } from "./parse.ts";
import { rolloutPath, rolloutText } from "./rollout.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside rollout start` */
export const rolloutStart: Command = {
  summary: "give a version more and more traffic, and take it back when it is worse",
  usage:
    "rollout start <model> <version> [--steps 1,5,25,50,100] [--min-seconds <n>] [--min-requests <n>] [--max-disagreement <share>] [...] [--dry-run]",
  options: {
    steps: { type: "string" },
    "min-seconds": { type: "string" },
    "min-requests": { type: "string" },
    "min-comparisons": { type: "string" },
    "shadow-rate": { type: "string" },
    "max-disagreement": { type: "string" },
    "max-error-ratio": { type: "string" },
    "max-latency-ratio": { type: "string" },
    "max-cost-ratio": { type: "string" },
    "no-shadow": { type: "boolean" },
    "dry-run": { type: "boolean" },
  },
  help: `Starts a rollout: the version gets the share of callers that each step says, and is compared with "stable"
all the while. When a guard breaks it is rolled back at once; after the last step it becomes "stable". A
caller who has got it keeps it.

  --steps <percents>           rising, the last is 100 (1,5,25,50,100)
  --min-seconds <n>            a step lasts so long at least (600)
  --min-requests <n>           and until the version has answered so many (500)
  --min-comparisons <n>        the first step also until so many answers have been compared (200)
  --shadow-rate <share>        requests that the other version answers too, to be compared (0.1)
  --no-shadow                  compare nothing: for models of which two versions don't fit one isolate

What breaks it; "off" leaves a guard out:
  --max-disagreement <share>   compared answers that are other ones (0.02)
  --max-error-ratio <ratio>    errors, against those of "stable" (1.5)
  --max-latency-ratio <ratio>  95th percentile of the time to an answer (1.5)
  --max-cost-ratio <ratio>     units of the same inputs (1.2)

  --dry-run                    show what would change, and change nothing

Examples:
  npx nearside rollout start minilm 4
  npx nearside rollout start minilm 4 --steps 10,100 --min-seconds 60 --max-disagreement 0.05
  npx nearside rollout start minilm 4 --max-cost-ratio off --dry-run
  npx nearside rollout status minilm --watch`,

  async run({ words: [model = "", number = ""], options, control }) {
    const body = { version: wholeWord("<version>", number, 1), ...planOf(options) };
    const client = await control();
    const path = rolloutPath(model);
    const dryRun = options["dry-run"] === true;
    const started = await client.change(path, Rollout, {
      method: "POST",
      body,
      dryRun,
      model,
    });
    const text = dryRun
      ? `This would start (--dry-run; nothing is done):\n${rolloutText(started)}`
      : `${rolloutText(started)}\nFollow it: npx nearside rollout status ${model} --watch`;
    return { json: started, text };
  },
};

const RATIO_GUARDS = {
  errors: "max-error-ratio",
  latency: "max-latency-ratio",
  cost: "max-cost-ratio",
} as const;

function planOf(options: CommandContext["options"]): object {
  const given = <T>(option: string, read: (option: string, text: string) => T): T | undefined => {
    const text = options[option];
    return typeof text === "string" ? read(option, text) : undefined;
  };
  const guards: Record<string, unknown> = {};
  for (const [guard, option] of Object.entries(RATIO_GUARDS)) {
    guards[guard] = given(
      option,
      guardReader((ratio) => ({ ratio })),
    );
  }
  guards["disagreement"] = given(
    "max-disagreement",
    guardReader((share) => ({ share })),
  );
  const isBlind = options["no-shadow"] === true;
  if (isBlind) Object.assign(guards, { disagreement: false, cost: false });
  // JSON leaves out what is undefined.
  return {
    steps: given("steps", stepsOf),
    minSeconds: given("min-seconds", decimalNumber),
    minRequests: given("min-requests", count),
    minComparisons: given("min-comparisons", count),
    shadowRate: isBlind ? 0 : given("shadow-rate", decimalNumber),
    guards,
  };
}

const count = (option: string, text: string): number => wholeNumber(option, text, 1);

function guardReader(settings: (limit: number) => object) {
  return (option: string, text: string) =>
    text === "off" ? false : settings(decimalNumber(option, text));
}

function stepsOf(_: string, text: string): number[] {
  const steps = text.split(",").map((word) => word.trim());
  const isRising = steps.every((word, at) => at === 0 || Number(word) > Number(steps[at - 1]));
  if (steps.every((word) => /^[1-9]\d?$|^100$/.test(word)) && isRising && steps.at(-1) === "100") {
    return steps.map(Number);
  }
  throw new UsageError(
    `--steps takes rising percentages, the last of them 100, such as 1,5,25,50,100; not "${text}".`,
  );
}
