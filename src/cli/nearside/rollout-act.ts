import type { Command } from "./command.ts";
import { Rollout } from "./control-schemas.ts";
import { currentRollout, rolloutPath, rolloutText } from "./rollout.ts";

interface Act {
  readonly summary: string;
  /** What it does, in the help's first sentences. */
  readonly teaches: string;
  readonly example: string;
}

/** `nearside rollout pause` */
export const rolloutPause: Command = acting("pause", {
  summary: "keep a rollout at its present step",
  teaches:
    "Keeps the rollout at its present step: callers stay with the version they have. A guard that breaks\nrolls it back all the same.",
  example: '--reason "looking at the errors"',
});

/** `nearside rollout resume` */
export const rolloutResume: Command = acting("resume", {
  summary: "let a paused rollout go on",
  teaches: "Lets a paused rollout go on from the step it was paused at.",
  example: "",
});

/** `nearside rollout promote` */
export const rolloutPromote: Command = acting("promote", {
  summary: 'make the version of a rollout "stable" now',
  teaches:
    'Ends the rollout at once: its version becomes "stable" and gets all traffic, whatever steps are left.',
  example: "",
});

/** `nearside rollout abort` */
export const rolloutAbort: Command = acting("abort", {
  summary: "end a rollout and take its traffic back",
  teaches: 'Ends the rollout at once: all traffic goes to "stable" again, as it was before.',
  example: '--reason "wrong weights"',
});

function acting(action: string, { summary, teaches, example }: Act): Command {
  return {
    summary,
    usage: `rollout ${action} <model> [--reason <text>] [--dry-run]`,
    options: { reason: { type: "string" }, "dry-run": { type: "boolean" } },
    help: `${teaches}

  --reason <text>   why, for the audit log
  --dry-run         show what would change, and change nothing

Examples:
  ${`npx nearside rollout ${action} minilm ${example}`.trim()}
  npx nearside rollout ${action} minilm --dry-run`,

    async run({ words: [model = ""], options, control }) {
      const { reason } = options;
      const client = await control();
      const { etag } = await currentRollout(client, model);
      const dryRun = options["dry-run"] === true;
      const acted = await client.change(`${rolloutPath(model)}/${action}`, Rollout, {
        method: "POST",
        body: typeof reason === "string" ? { reason } : {},
        etag,
        dryRun,
        model,
      });
      const headline = dryRun ? "This would be so (--dry-run; nothing is done):\n" : "";
      return { json: acted, text: headline + rolloutText(acted) };
    },
  };
}
