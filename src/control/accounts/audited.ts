import { NearsideError } from "../../errors.ts";
import type { AuditRecord } from "../audit.ts";
import type { ControlContext } from "../context.ts";
import type { ChangingCall } from "../route.ts";

/** How often a change is looked at anew because others write at the same time. */
const ATTEMPTS = 5;

/**
 * Does something that only counts while nobody else changes what it looked at.
 *
 * @param attempt undefined when somebody was faster
 * @throws NearsideError `catalog_busy`
 */
export async function untilUndisturbed<T>(
  what: string,
  attempt: () => Promise<T | undefined>,
): Promise<T> {
  for (let time = 0; time < ATTEMPTS; time++) {
    const done = await attempt();
    if (done !== undefined) return done;
  }
  throw new NearsideError("catalog_busy", `The ${what} keeps changing; try again.`, {
    retryAfterSeconds: 1,
  });
}

/** Files a change that is made: a log that can't be reached must not make it look undone. */
export async function tellAudit(
  { audit, log, now, requestId }: ControlContext,
  { actor }: Pick<ChangingCall, "actor">,
  entry: Pick<AuditRecord, "action" | "target" | "before" | "after" | "details"> & { id?: string },
): Promise<void> {
  try {
    await audit.append({
      id: crypto.randomUUID(),
      ...entry,
      at: new Date(now()).toISOString(),
      actor,
      models: [],
    });
  } catch (error) {
    const { action, target } = entry;
    log.error("audit_failed", error, { requestId, actor, action, target });
  }
}
