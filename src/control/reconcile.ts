import * as v from "valibot";

import { changeCatalog, readCatalogSource } from "../catalog/changes.ts";
import { diffCatalogs } from "../catalog/diff.ts";
import { findCatalog } from "../catalog/history.ts";
import { CATALOG_KV_KEY } from "../catalog/reader.ts";
import { modelsIn } from "./audit.ts";
import { repairAccounts } from "./accounts/repair.ts";
import type { ControlContext } from "./context.ts";

/** Older changes than these were filed long ago, or never will be: their catalogs may be gone. */
const MOST_FILED = 200;

const Numbered = v.object({ number: v.number() });

/**
 * Puts in order what a crash or an outage left half done: the edge reads the newest catalog, and every change
 * of it is in the audit log, those of publication too; and the keys and accounts that are.
 */
export async function reconcile(context: ControlContext): Promise<void> {
  const { source } = await readCatalogSource(context.store.bucket);
  await showEdge(source.number, context);
  await fileMissingChanges(context, source.number);
  await repairAccounts(context);
}

async function showEdge(newest: number, { store, now }: ControlContext): Promise<void> {
  const text = await store.namespace.get?.(CATALOG_KV_KEY);
  if (newest === 0 || numberIn(text) === newest) return;
  // A change of nothing writes what the edge reads.
  await changeCatalog(store, { by: "reconcile", change: "", now: now() }, () => undefined);
}

function numberIn(text: string | null | undefined): number | undefined {
  try {
    return v.parse(Numbered, JSON.parse(text ?? "null")).number;
  } catch {
    return undefined;
  }
}

/**
 * A change whose teller died, or that was made past the control plane, is told from the catalogs themselves.
 *
 * @param newest number of the last catalog that shall have an entry
 */
export async function fileMissingChanges(
  { store: { bucket }, audit }: Pick<ControlContext, "store" | "audit">,
  newest: number,
): Promise<void> {
  const from = Math.max(1, newest - MOST_FILED + 1);
  const filed = new Set(await audit.catalogsFrom(from));
  for (let number = from; number <= newest; number++) {
    if (filed.has(number)) continue;
    const [before, after] = await Promise.all([
      findCatalog(bucket, number - 1),
      findCatalog(bucket, number),
    ]);
    if (after === undefined) continue;
    const changes = diffCatalogs(
      before ?? { ...after, models: {}, flags: undefined, prices: undefined },
      after,
    );
    await audit.append({
      id: `catalog:${number}`,
      at: after.at ?? new Date(0).toISOString(),
      actor: after.by ?? "unknown",
      action: "catalog.change",
      target: "catalog",
      models: modelsIn(changes),
      before: Object.fromEntries(changes.map(({ field, before: was = null }) => [field, was])),
      after: Object.fromEntries(changes.map(({ field, after: is = null }) => [field, is])),
      catalog: number,
      details: { change: after.change ?? "" },
    });
  }
}
