import { type AccessVerifier, accessVerifier } from "../../src/accounts/access-jwt.ts";
import { AUDIT_NAME } from "../../src/control/audit.ts";
import type { ControlContext } from "../../src/control/context.ts";
import { DEAD_QUEUE, consumeDead } from "../../src/control/dead-usage.ts";
import { route } from "../../src/control/router.ts";
import { reconcile } from "../../src/control/reconcile.ts";
import { consumeUsage } from "../../src/control/usage-queue.ts";
import { requestId } from "../../src/protocol/request-id.ts";
import { consoleLog } from "../../src/telemetry/log.ts";
import { DOCS } from "../docs.ts";
import type { Env } from "./env.ts";

export { AccountLedger } from "./account-ledger.ts";
export { AuditLog } from "./audit-log.ts";
export { Ledgers } from "./ledgers.ts";
export { ModelRollouts } from "./model-rollouts.ts";
export { Statistics } from "./statistics.ts";

/** Kept by the isolate, because it holds the team's public keys. */
let access: AccessVerifier | undefined;

export default {
  fetch: (request, env) => route(request, contextOf(env, requestId(request))),
  queue: (batch, env) =>
    batch.queue === DEAD_QUEUE
      ? consumeDead(batch, contextOf(env, batch.queue))
      : consumeUsage(batch, contextOf(env, batch.queue)),
  scheduled: ({ cron }, env) => reconcile(contextOf(env, cron)),
} satisfies ExportedHandler<Env>;

/** What one request to this Worker, or one batch of messages, works with. */
export function contextOf(env: Env, id: string): ControlContext {
  if (env.ACCESS_TEAM_DOMAIN !== "" && env.ACCESS_AUDIENCE !== "") {
    access ??= accessVerifier({
      teamDomain: env.ACCESS_TEAM_DOMAIN,
      audience: env.ACCESS_AUDIENCE,
    });
  }
  return {
    store: { bucket: env.MODELS, namespace: env.CATALOG },
    audit: env.AUDIT_LOG.getByName(AUDIT_NAME) as unknown as ControlContext["audit"],
    requestId: id,
    log: consoleLog,
    adminToken: env.ADMIN_TOKEN,
    access,
    // Workers' types of RPC give up on values of unknown shape.
    rolloutsOf: (model) =>
      env.MODEL_ROLLOUTS.getByName(model) as unknown as ReturnType<ControlContext["rolloutsOf"]>,
    booksOf: (account) =>
      env.ACCOUNT_LEDGERS.getByName(account) as unknown as ReturnType<ControlContext["booksOf"]>,
    accounts: { keys: env.KEYS, bucket: env.MODELS },
    deadUsage: env.MODELS,
    allowPrivateExports: env.ALLOW_PRIVATE_EXPORTS === "true",
    docs: DOCS,
    now: () => Date.now(),
  };
}
