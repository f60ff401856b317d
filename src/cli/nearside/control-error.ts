import * as v from "valibot";

import { UserError } from "../user-error.ts";

/** problem+json, as far as a person needs it. */
const Problem = v.object({
  code: v.optional(v.string()),
  detail: v.string(),
  field: v.optional(v.string()),
  problems: v.optional(v.array(v.object({ field: v.string(), problem: v.string() }))),
});
type Problem = v.InferOutput<typeof Problem>;

/** What to do about a refusal by its code, or code and field, where its own sentence does not say. */
const FIXES: Readonly<Record<string, string>> = {
  unauthorized:
    "NEARSIDE_ADMIN_TOKEN must be the control plane's ADMIN_TOKEN: `npx wrangler secret put ADMIN_TOKEN --config workers/control/wrangler.toml` sets it.",
  model_not_found: "`npx nearside models` lists them.",
  version_not_found: "`npx nearside models` lists them.",
  label_not_found: "`npx nearside label <model>` lists them.",
  origin_pool_not_found: "`npx nearside pool list` lists them.",
  origin_route_not_found: "`npx nearside origin <model> --pool <pool>` makes one.",
  flag_not_found: "`npx nearside flag set --help` shows how one is made.",
  "route_not_found account": "`npx nearside account list` lists them.",
  "route_not_found key": "`npx nearside key list <account>` lists them.",
  catalog_not_found: "`npx nearside catalog history` lists them.",
  rollout_not_found: "`npx nearside rollout start --help` shows how one is started.",
  rollout_running:
    "`npx nearside rollout status <model>` shows it; `rollout promote` or `rollout abort` ends it.",
  rollout_over: "`npx nearside rollout status <model>` shows how it ended.",
  flag_in_the_way:
    "`npx nearside flag get <model>` shows it; `npx nearside flag set <model> --delete` removes it.",
  precondition_failed: "Run it again: it takes the new state.",
  catalog_busy: "Run it again.",
};

/** What the control plane says of requests, said of commands. */
const SENTENCES: Readonly<Record<string, string>> = {
  flag_not_found: '"<model>" has no flag: its label "stable" answers everybody.',
  rollout_not_found: 'There was no rollout of "<model>" yet.',
};

/** The control plane refused, in its own words. */
export class ControlError extends UserError {
  readonly status: number;
  readonly code: string | undefined;
  readonly field: string | undefined;
  readonly problems: Problem["problems"];

  /** @param model put where a fix names one */
  constructor(status: number, problem: Problem, model = "<model>") {
    super(sentenceOf(problem, model));
    this.status = status;
    this.code = problem.code;
    this.field = problem.field;
    this.problems = problem.problems;
  }
}

/** Reads a refusal; whatever else answered is named with its status. */
export async function controlErrorOf(
  response: Response,
  url: string,
  model?: string,
): Promise<ControlError> {
  const text = await response.text();
  const parsed = v.safeParse(Problem, parseJson(text));
  if (parsed.success) return new ControlError(response.status, parsed.output, model);
  const detail =
    `${url} answered with status ${response.status}, and not as Nearside's control plane does. ` +
    "See that NEARSIDE_CONTROL_URL names it.";
  return new ControlError(response.status, { detail }, model);
}

function sentenceOf({ code = "", detail, field = "", problems = [] }: Problem, model: string) {
  const sentence = SENTENCES[code] ?? detail;
  const isListed = problems.length > 1;
  // A place within what was sent; what stands for a whole is named by the sentence.
  const isPlace = /[.[]/.test(field) && !isListed && !sentence.includes(field);
  // Some sentences name the command themselves.
  const fix = /\b(nearside|npx) /.test(sentence)
    ? undefined
    : (FIXES[code] ?? FIXES[`${code} ${field}`]);
  return [
    isPlace ? `${sentence} (${field})` : sentence,
    ...(isListed ? problems.map((one) => `  ${one.field}: ${one.problem}`) : []),
    ...(fix === undefined ? [] : [fix]),
  ]
    .join("\n")
    .replaceAll("<model>", model);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
