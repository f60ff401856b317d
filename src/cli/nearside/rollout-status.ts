import { UserError } from "../user-error.ts";
import type { Command, CommandContext, CommandResult } from "./command.ts";
import type { ControlClient } from "./control-client.ts";
import { ControlError } from "./control-error.ts";
import type { Rollout } from "./control-schemas.ts";
import { currentRollout, isOver, rolloutLine, rolloutText } from "./rollout.ts";

const WATCH_MS = 2_000;

/** A network that is away for less does not end a watch. */
const FAILURES_IN_A_ROW = 15;

/** `nearside rollout status` */
export const rolloutStatus: Command = {
  summary: "show how a rollout is doing, or watch it until it is over",
  usage: "rollout status <model> [--watch]",
  options: { watch: { type: "boolean" } },
  help: `Shows the running rollout of a model, else the latest: the step it is at, what each guard has found, and what
it waits for.

  --watch   show it again and again until it is over. The exit code is 0 when the version was promoted, and 1
            when it was not

Examples:
  npx nearside rollout status minilm
  npx nearside rollout status minilm --watch && echo promoted
  npx nearside rollout status minilm --json | jq '.findings'`,

  async run(context) {
    const [model = ""] = context.words;
    const client = await context.control();
    if (context.options["watch"] === true) return watch(client, model, context);
    const { value } = await currentRollout(client, model);
    return { json: value, text: rolloutText(value) };
  },
};

async function watch(
  client: ControlClient,
  model: string,
  { show, wait }: CommandContext,
): Promise<CommandResult> {
  let failures = 0;
  for (;;) {
    let rollout: Rollout | undefined;
    try {
      rollout = (await currentRollout(client, model)).value;
      failures = 0;
    } catch (error) {
      const isPassing =
        error instanceof UserError && !(error instanceof ControlError && error.status < 500);
      if (!isPassing || ++failures >= FAILURES_IN_A_ROW) throw error;
    }
    if (rollout !== undefined && isOver(rollout)) {
      const exitCode = rollout.status === "promoted" ? 0 : 1;
      return { json: rollout, text: rolloutText(rollout), exitCode };
    }
    if (rollout !== undefined) show(rolloutText(rollout), rolloutLine(rollout));
    await wait(WATCH_MS);
  }
}
