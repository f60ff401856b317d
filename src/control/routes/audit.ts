import * as v from "valibot";

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
    async handle({ audit }, { query: { limit, before, model } }) {
      const entries = await audit.list({
        limit,
        ...(before !== undefined && { before }),
        ...(model !== undefined && { model }),
      });
      return Response.json(entries);
    },
  }),
];
