import * as v from "valibot";

import type { CatalogSource } from "../../catalog/catalog.ts";
import { readCatalogSource } from "../../catalog/changes.ts";
import { diffCatalogs } from "../../catalog/diff.ts";
import { listCatalogs, readCatalog, rolledBack } from "../../catalog/history.ts";
import type { ControlContext } from "../context.ts";
import { applyEdit } from "../edit.ts";
import { check } from "../input.ts";
import { CatalogNumber, LIMIT, NumberText } from "../query.ts";
import { change, entity, read } from "../route.ts";
import { refuseWhileRunning } from "../running.ts";

const HistoryQuery = v.strictObject({ limit: LIMIT, before: v.optional(NumberText) });
const DiffQuery = v.strictObject({
  to: v.optional(v.union([v.literal("current"), NumberText]), "current"),
});
const Rollback = v.strictObject({ to: CatalogNumber });

export const catalogRoutes = [
  read({
    path: "/v1/catalog",
    summary: "Gives the catalog as it is: models, labels, switches, flags, routes, pools.",
    answers: "The catalog's source.",
    errors: [],
    async handle({ store }) {
      const { source } = await readCatalogSource(store.bucket);
      return entity(source);
    },
  }),
  change({
    method: "POST",
    path: "/v1/catalog/rollback",
    summary:
      "Makes a new catalog with the labels, switches, flags, routes and pools of an earlier one.",
    answers: "What has changed in the catalog.",
    body: Rollback,
    errors: ["catalog_not_found", "invalid_change", "rollout_running"],
    async handle(context, call) {
      const { to } = call.body;
      const earlier = await readCatalog(context.store.bucket, to);
      const restore = (source: CatalogSource): CatalogSource =>
        rolledBack(earlier)(source) ?? source;
      return applyEdit(context, call, {
        what: "catalog",
        action: "catalog.rollback",
        target: "catalog",
        sentence: `back to catalog ${to}`,
        read: (source) => source,
        show: ({ number }) => ({ catalog: number }),
        write: restore,
        guard: (source) => refuseRunningRollouts(context, source, restore(source)),
        details: { to },
      });
    },
  }),
  read({
    path: "/v1/catalogs",
    summary: "Lists the catalogs that there were.",
    answers: "Number, time, author and change of each, newest first.",
    query: HistoryQuery,
    errors: [],
    handle: async ({ store }, { query: { limit, before } }) =>
      Response.json(await listCatalogs(store.bucket, { limit, before })),
  }),
  read({
    path: "/v1/catalogs/:number",
    summary: "Gives an earlier catalog.",
    answers: "The catalog's source.",
    errors: ["catalog_not_found"],
    handle: async ({ store }, { params }) =>
      Response.json(await readCatalog(store.bucket, numberOf(params))),
  }),
  read({
    path: "/v1/catalogs/:number/diff",
    summary: "Tells what has changed from one catalog to another.",
    answers: "Every place in which they differ.",
    query: DiffQuery,
    errors: ["catalog_not_found"],
    async handle({ store: { bucket } }, { params, query: { to } }) {
      const before = await readCatalog(bucket, numberOf(params));
      const after =
        to === "current" ? (await readCatalogSource(bucket)).source : await readCatalog(bucket, to);
      return Response.json({
        from: before.number,
        to: after.number,
        changes: diffCatalogs(before, after),
      });
    },
  }),
];

function numberOf({ number = "" }: Readonly<Record<string, string>>): number {
  return check(NumberText, number, "number");
}

/** A rollout owns its model's flag, and counts on its labels. */
async function refuseRunningRollouts(
  context: ControlContext,
  before: CatalogSource,
  after: CatalogSource,
): Promise<void> {
  const touched = diffCatalogs(before, after).flatMap(({ field }) => {
    const [kind, model = "", part] = field.split(".");
    return kind === "flags" || (kind === "models" && part === "labels") ? [model] : [];
  });
  for (const model of new Set(touched)) {
    await refuseWhileRunning(context, model, "what this rollback changes");
  }
}
