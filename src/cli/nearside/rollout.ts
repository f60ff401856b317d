import type { ControlClient, Found } from "./control-client.ts";
import { Rollout } from "./control-schemas.ts";
import { span, when } from "./present.ts";
import { table } from "./table.ts";

export const rolloutPath = (model: string): string =>
  `/v1/models/${encodeURIComponent(model)}/rollout`;

/** The running rollout, else the latest. */
export function currentRollout(client: ControlClient, model: string): Promise<Found<Rollout>> {
  return client.get(rolloutPath(model), Rollout, { model });
}

export const isOver = ({ status }: Rollout): boolean => status !== "running" && status !== "paused";

const STATUS: Readonly<Record<Rollout["status"], string>> = {
  running: "running",
  paused: "paused",
  promoted: "promoted",
  rolled_back: "rolled back",
  aborted: "aborted",
  superseded: "superseded",
};

/** Everything about a rollout on a few lines. */
export function rolloutText(rollout: Rollout, now = Date.now()): string {
  const { baseline, plan, startedAt, startedBy, endedAt, endedBy, reason, waitingFor } = rollout;
  const { stats, stepStartedAt, findings } = rollout;
  const since = Date.parse(stepStartedAt);
  const rows = [
    ["  versions", `${plan.version} instead of ${baseline}`],
    ["  step", stepText(rollout)],
    ["  started", `${when(startedAt)} by ${startedBy}`],
    ...(isOver(rollout)
      ? [["  ended", `${endedAt ? when(endedAt) : "-"}${endedBy ? ` by ${endedBy}` : ""}`]]
      : [["  at this step", `since ${when(stepStartedAt)} (${span(now - since)})`]]),
    [
      "  requests",
      `${stats.step.candidate.requests} of version ${plan.version}, ${stats.step.baseline.requests} of ${baseline}, at this step`,
    ],
    ...findings.map(({ guard, broken, sentence }) => [
      `  ${guard}`,
      broken ? `BROKEN: ${sentence}` : sentence,
    ]),
    ...(reason ? [["  reason", reason]] : []),
    ...(waitingFor && !isOver(rollout) ? [["  waits for", waitingFor]] : []),
  ];
  return `${headline(rollout)}\n${table(rows)}`;
}

/** The same as one line, which stays the same while nothing is decided. */
export function rolloutLine(rollout: Rollout): string {
  const { findings, reason } = rollout;
  const broken = findings.filter((one) => one.broken).map(({ sentence }) => sentence);
  const words = reason ?? broken.join(" ");
  return `${headline(rollout)}, step ${stepText(rollout)}${words === "" ? "" : `. ${words}`}`;
}

function headline({ model, status, plan }: Rollout): string {
  return `${model} ${plan.version}: ${STATUS[status]}`;
}

function stepText({ step, share, plan: { steps } }: Rollout): string {
  return `${step + 1} of ${steps.length} (${share} % of callers; ${steps.join(", ")})`;
}
