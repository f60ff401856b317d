import * as v from "valibot";

import { readCatalogSource } from "../../catalog/changes.ts";
import { NearsideError } from "../../errors.ts";
import { RolloutPlan } from "../../rollout/plan.ts";
import { ROLLOUT_ACTIONS, type RolloutView, type RpcResult } from "../../rollout/view.ts";
import type { ControlContext } from "../context.ts";
import { modelIn } from "../models.ts";
import { change, type ChangingCall, read } from "../route.ts";

const PATH = "/v1/models/:model/rollout";
const MAX_REASON_CHARACTERS = 500;

const Reason = v.strictObject({
  reason: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_REASON_CHARACTERS))),
});
const ActionBody = v.optional(Reason, {});

const DOES = {
  pause: "Keeps a rollout where it is; its guards go on watching.",
  resume: "Lets a paused rollout go on.",
  promote: "Ends a rollout at once: everybody gets the candidate, which becomes `stable`.",
  abort: "Ends a rollout at once: everybody gets the baseline.",
} as const;

export const rolloutRoutes = [
  read({
    path: PATH,
    summary: "Tells of the running rollout, or else of the latest.",
    answers: "The rollout: where it is, what its guards find, what it waits for.",
    errors: ["model_not_found", "rollout_not_found"],
    async handle(context, { params }) {
      const model = await modelOf(context, params);
      const view = await context.rolloutsOf(model).current();
      if (view === null) throw rolloutNotFound(model);
      return answer(view);
    },
  }),
  read({
    path: "/v1/models/:model/rollouts",
    summary: "Lists the rollouts of a model.",
    answers: "The rollouts, newest first.",
    errors: ["model_not_found"],
    handle: async (context, { params }) =>
      Response.json(await context.rolloutsOf(await modelOf(context, params)).list()),
  }),
  read({
    path: "/v1/models/:model/shadows",
    summary: "Tells what shadows outside rollouts found.",
    answers: "Counts by pair of versions.",
    errors: ["model_not_found"],
    handle: async (context, { params }) =>
      Response.json(await context.rolloutsOf(await modelOf(context, params)).shadows()),
  }),
  change({
    method: "POST",
    path: PATH,
    status: 201,
    summary: "Starts a rollout of a version. Send If-None-Match: *.",
    answers: "The rollout.",
    body: RolloutPlan,
    errors: [
      "model_not_found",
      "version_not_found",
      "rollout_running",
      "flag_in_the_way",
      "invalid_change",
    ],
    async handle(context, { params, body, actor, precondition, dryRun, request }) {
      const model = await modelOf(context, params);
      if (precondition.kind !== "absent") {
        throw new NearsideError(
          "precondition_failed",
          "A rollout is started, not changed: send If-None-Match: * (none may be running).",
          { field: "if-match" },
        );
      }
      const view = valueOf(await context.rolloutsOf(model).start(body, actor, dryRun));
      if (dryRun) return answer(view, { dryRun });
      const location = new URL(request.url).pathname;
      return answer(view, {}, { status: 201, headers: { location } });
    },
  }),
  ...ROLLOUT_ACTIONS.map((action) =>
    change({
      method: "POST",
      path: `${PATH}/${action}`,
      summary: DOES[action],
      answers: "The rollout.",
      body: ActionBody,
      errors: ["model_not_found", "rollout_not_found", "rollout_over"],
      async handle(context, call) {
        const model = await modelOf(context, call.params);
        const { actor, body, dryRun } = call;
        const view = valueOf(
          await context.rolloutsOf(model).act(action, body.reason, actor, etagIn(call), dryRun),
        );
        return answer(view, dryRun ? { dryRun } : {});
      },
    }),
  ),
];

async function modelOf(
  { store }: ControlContext,
  { model = "" }: Readonly<Record<string, string>>,
): Promise<string> {
  const { source } = await readCatalogSource(store.bucket);
  modelIn(source, model);
  return model;
}

/** A rollout's own ETag: it changes with decisions, and not with every request that is counted. */
function answer(view: RolloutView, more: object = {}, init: ResponseInit = {}): Response {
  const headers = new Headers(init.headers);
  headers.set("etag", view.etag);
  return Response.json({ ...view, ...more }, { ...init, headers });
}

/** As the Durable Object takes it: one ETag, or `*`. */
function etagIn({ precondition }: ChangingCall): string {
  if (precondition.kind === "present") return "*";
  if (precondition.kind === "is") {
    const [etag = "", ...others] = precondition.etags;
    if (others.length === 0) return etag;
    throw new NearsideError("invalid_request", "Send one ETag as If-Match.", { field: "if-match" });
  }
  throw new NearsideError(
    "precondition_failed",
    "This changes a rollout that is there: send If-Match with its ETag.",
    { field: "if-none-match" },
  );
}

function valueOf<T>(result: RpcResult<T>): T {
  if (result.ok) return result.value;
  const { code, message, field, problems } = result;
  throw new NearsideError(code, message, {
    ...(field !== undefined && { field }),
    ...(problems !== undefined && { problems }),
  });
}

function rolloutNotFound(model: string): NearsideError {
  return new NearsideError(
    "rollout_not_found",
    `There was no rollout of "${model}" yet. Start one: POST /v1/models/${model}/rollout.`,
    { field: "model" },
  );
}
