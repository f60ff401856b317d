import type { CatalogSource } from "../catalog/catalog.ts";
import {
  type CatalogChange,
  changeCatalog,
  planChange,
  readCatalogSource,
} from "../catalog/changes.ts";
import { diffCatalogs, type Difference } from "../catalog/diff.ts";
import { canonicalJson } from "../catalog/same-json.ts";
import type { NearsideError } from "../errors.ts";
import { modelsIn } from "./audit.ts";
import { fileMissingChanges } from "./reconcile.ts";
import type { ControlContext } from "./context.ts";
import { untilUndisturbed } from "./undisturbed.ts";
import { checkPrecondition, etagOf } from "./precondition.ts";
import type { ChangingCall } from "./route.ts";
import type { Shares } from "./traffic.ts";

/** A change of one thing in the catalog. */
export interface Edit {
  /** `flag of minilm`, for a person. */
  readonly what: string;
  /** `flag.put`, for the audit log; and its path there. */
  readonly action: string;
  readonly target: string;
  /** One sentence for the history of catalogs. */
  readonly sentence: string;
  /** The thing itself; undefined when it is not there. @throws NearsideError when it can't be */
  read(source: CatalogSource): unknown;
  write(source: CatalogSource): CatalogSource;
  /** What the audit log shows of it, when that is not the thing itself. */
  show?(source: CatalogSource): unknown;
  /** The reason to refuse when it is not there, for what can't be created. */
  missing?(): NearsideError;
  /** Refuses for what the catalog does not say. */
  guard?(source: CatalogSource): Promise<void>;
  /** What else must not change between `guard` and the writing. */
  watch?(source: CatalogSource): unknown;
  traffic?(change: CatalogChange): Promise<{ before: Shares; after: Shares }>;
  readonly details?: unknown;
}

/** What a change answers. */
export interface EditAnswer {
  readonly catalog: number;
  readonly changes: readonly Difference[];
  readonly dryRun?: true;
  readonly traffic?: { readonly before: Shares; readonly after: Shares };
}

/** Somebody else wrote between our look and our writing. */
class ChangedMeanwhile extends Error {
  override readonly name = "ChangedMeanwhile";
}

/**
 * Changes the catalog if what is changed is what the caller saw, and tells the audit log.
 *
 * @throws NearsideError `precondition_failed`, `invalid_change`, `catalog_busy`, and what the edit refuses with
 */
export async function applyEdit(
  context: ControlContext,
  call: ChangingCall,
  edit: Edit,
): Promise<Response> {
  const change = await changeOnce(context, call, edit);
  const { before, after } = change;
  const changes = diffCatalogs(before, after);
  if (!call.dryRun && before !== after) await tell(context, call, edit, change, changes);
  const answer: EditAnswer = {
    catalog: after.number,
    changes,
    ...(call.dryRun && { dryRun: true }),
    ...(edit.traffic && { traffic: await edit.traffic(change) }),
  };
  const now = edit.read(call.dryRun ? before : after);
  const headers = now === undefined ? undefined : { etag: await etagOf(now) };
  return Response.json(answer, { ...(headers && { headers }) });
}

async function changeOnce(
  context: ControlContext,
  { precondition, dryRun, actor }: ChangingCall,
  edit: Edit,
): Promise<CatalogChange> {
  const seen = (source: CatalogSource): string | undefined =>
    canonicalJson([edit.read(source), edit.watch?.(source)]);
  return untilUndisturbed(edit.what, async () => {
    const { source } = await readCatalogSource(context.store.bucket);
    const current = edit.read(source);
    if (current === undefined && edit.missing) throw edit.missing();
    await checkPrecondition(precondition, edit.what, current);
    await edit.guard?.(source);
    const looked = seen(source);
    const mutate = (latest: CatalogSource): CatalogSource | undefined => {
      if (seen(latest) !== looked) throw new ChangedMeanwhile();
      const next = edit.write(latest);
      return canonicalJson(next) === canonicalJson(latest) ? undefined : next;
    };
    const provenance = { by: actor, change: edit.sentence, now: context.now() };
    try {
      return dryRun
        ? await planChange(context.store, mutate)
        : await changeCatalog(context.store, provenance, mutate);
    } catch (error) {
      if (error instanceof ChangedMeanwhile) return undefined;
      throw error;
    }
  });
}

/** The change is made: a log that can't be reached must not make it look undone. */
async function tell(
  { store, audit, log, now, requestId }: ControlContext,
  { actor }: ChangingCall,
  edit: Edit,
  { before, after }: CatalogChange,
  changes: readonly Difference[],
): Promise<void> {
  const show = (source: CatalogSource): unknown => (edit.show ?? edit.read)(source) ?? null;
  const models = modelsIn(changes);
  try {
    // What was made past the control plane comes before it.
    await fileMissingChanges({ store, audit }, before.number);
    await audit.append({
      id: `catalog:${after.number}`,
      at: new Date(now()).toISOString(),
      actor,
      action: edit.action,
      target: edit.target,
      models,
      before: show(before),
      after: show(after),
      catalog: after.number,
      details: { change: edit.sentence, ...(edit.details as object | undefined) },
    });
  } catch (error) {
    const { action, target } = edit;
    log.error("audit_failed", error, { requestId, actor, action, target, catalog: after.number });
  }
}
