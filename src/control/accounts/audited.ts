import type { AuditRecord } from "../audit.ts";
import type { ControlContext } from "../context.ts";
import type { ChangingCall } from "../route.ts";

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
