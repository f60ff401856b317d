import * as v from "valibot";

import { readCatalogSource } from "../../catalog/changes.ts";
import { fileMissingChanges } from "../reconcile.ts";
import { LIMIT, NumberText } from "../query.ts";
import { read } from "../route.ts";

const AuditFilter = v.strictObject({
  limit: LIMIT,
  before: v.optional(NumberText),
  model: v.optional(v.string()),
});

export const auditRoutes = [
  read({
    path: "/v1/audit",
    summary: "Lists who changed what. Go on with `before` = the last `seq`.",
    answers: "The entries, newest first.",
    query: AuditFilter,
    errors: [],
    async handle(context, { query: { limit, before, model } }) {
      const { source } = await readCatalogSource(context.store.bucket);
      await fileMissingChanges(context, source.number);
      const entries = await context.audit.list({
        limit,
        ...(before !== undefined && { before }),
        ...(model !== undefined && { model }),
      });
      return Response.json(entries);
    },
  }),
];
