import * as v from "valibot";

import { statementCsv, statementJson, statementPage } from "../../billing/statement.ts";
import { PERIOD_WORDS, UsageQuery, periodIn, usageRows } from "../../billing/usage-report.ts";
import { NearsideError } from "../../errors.ts";
import { tellAudit } from "../accounts/audited.ts";
import { NOT_FOUND, accountIn, valueOf } from "../accounts/find-account.ts";
import { LIMIT } from "../query.ts";
import { change, read } from "../route.ts";
import { ACCOUNT } from "./accounts.ts";

const EntryBody = v.strictObject({
  kind: v.optional(v.picklist(["credit", "refund", "adjustment"]), "credit"),
  /** Yours, such as the payment's number: the same one enters once. */
  id: v.pipe(v.string(), v.regex(/^[A-Za-z0-9._:-]{1,128}$/, "must be letters, digits and ._:-")),
  /** Whole nano-dollars. Below zero an adjustment charges the account. */
  amountNano: v.pipe(v.number(), v.safeInteger("must be a whole number of nano-dollars")),
  note: v.optional(v.pipe(v.string(), v.maxLength(500)), ""),
});

const ReplayBody = v.optional(v.strictObject({ target: v.exactOptional(v.string()) }), {});

const FORMATS = ["json", "csv", "html"] as const;
type Format = (typeof FORMATS)[number];

/** What an account used, paid and owes. */
export const accountBooksRoutes = [
  change({
    method: "POST",
    path: `${ACCOUNT}/credits`,
    summary:
      "Enters a payment, a refund or an adjustment. Send If-None-Match: *; its id enters it once.",
    answers: "Whether it was entered now, and the balance.",
    body: EntryBody,
    takesForce: true,
    errors: [NOT_FOUND, "invalid_change"],
    async handle(context, call) {
      const { account, books } = await accountIn(context, call.params);
      const { body, dryRun, precondition } = call;
      if (precondition.kind === "is") {
        throw new NearsideError(
          "precondition_failed",
          "An entry is made, never changed: send If-None-Match: *.",
          { field: "if-match" },
        );
      }
      const { kind, id, amountNano } = body;
      if (amountNano === 0 || (amountNano < 0 && kind !== "adjustment")) {
        throw new NearsideError(
          "invalid_request",
          `amountNano: must be above zero; only an adjustment may be below it.`,
          { field: "amountNano" },
        );
      }
      const entered = valueOf(await books.enter({ ...body, force: call.force }, dryRun));
      if (!dryRun) {
        await tellAudit(context, call, {
          id: `${account.id}:${kind}:${id}`,
          action: `${kind}.enter`,
          target: `accounts/${account.id}/credits/${id}`,
          before: null,
          after: body,
        });
      }
      return Response.json({ ...entered, ...(dryRun && { dryRun }) });
    },
  }),
  read({
    path: `${ACCOUNT}/balance`,
    summary: "Tells where an account stands: balance, what isolates hold, what was spent.",
    answers: "Whole nano-dollars.",
    errors: [NOT_FOUND],
    async handle(context, { params }) {
      const { books } = await accountIn(context, params);
      return Response.json(await books.standing());
    },
  }),
  read({
    path: `${ACCOUNT}/usage`,
    summary: "Sums up usage by day, model, version, key or placement.",
    answers: "The sums, at list prices, and what was taken off.",
    query: UsageQuery,
    errors: [NOT_FOUND],
    async handle(context, { params, query: { from, to, by } }) {
      const { books } = await accountIn(context, params);
      const period = periodIn({ from, to }, context.now());
      const sums = valueOf(await books.usage(period.from, period.to));
      return Response.json(usageRows(sums, by, period));
    },
  }),
  read({
    path: `${ACCOUNT}/events/:event`,
    summary: "Gives one billed request by its id, which its receipt names.",
    answers: "What was billed, what was taken off, and the digest of its receipt.",
    errors: [NOT_FOUND],
    async handle(context, { params }) {
      const { account, books } = await accountIn(context, params);
      const { event: id = "" } = params;
      const event = await books.event(id);
      if (event !== null) return Response.json(event);
      throw new NearsideError(
        NOT_FOUND,
        `The ledger of ${account.id} has no event "${id.slice(0, 64)}" of the last 35 days; older ones are in the files of ledger/${account.id}/.`,
        { field: "event" },
      );
    },
  }),
  read({
    path: `${ACCOUNT}/statement`,
    summary: "Gives a statement as JSON, CSV or a page, by Accept or `format`.",
    answers: "The statement: the running month's when the query names no other time.",
    query: v.strictObject({ ...PERIOD_WORDS, format: v.optional(v.picklist(FORMATS)) }),
    errors: [NOT_FOUND],
    async handle(context, { params, query: { from, to, format }, request }) {
      const { account, books } = await accountIn(context, params);
      const period = periodIn({ from, to }, context.now());
      const statement = valueOf(await books.statement(period.from, period.to));
      const chosen = format ?? accepted(request.headers.get("accept") ?? "");
      const name = `statement-${account.id}-${statement.from.slice(0, 10)}.csv`;
      const text = {
        json: () => statementJson(statement),
        csv: () => statementCsv(statement),
        html: () => statementPage(statement),
      }[chosen]();
      return new Response(text, {
        headers: {
          "content-type": TYPES[chosen],
          vary: "accept",
          ...(chosen === "csv" && { "content-disposition": `attachment; filename="${name}"` }),
        },
      });
    },
  }),
  read({
    method: "POST",
    path: `${ACCOUNT}/verify`,
    summary: "Counts the whole ledger again, and tells what does not add up.",
    answers: "Whether everything adds up.",
    errors: [NOT_FOUND],
    async handle(context, { params }) {
      const { books } = await accountIn(context, params);
      return Response.json(await books.verify());
    },
  }),
  read({
    path: `${ACCOUNT}/outbox`,
    summary: "Tells which events are still to be exported, and which can't be.",
    answers: "How many wait, and the oldest dead letters.",
    query: v.strictObject({ limit: LIMIT }),
    errors: [NOT_FOUND],
    async handle(context, { params, query: { limit } }) {
      const { books } = await accountIn(context, params);
      return Response.json(await books.outbox(limit));
    },
  }),
  change({
    method: "POST",
    path: `${ACCOUNT}/outbox/replay`,
    summary: "Tries dead letters again: all, or those of one export. Send If-Match: *.",
    answers: "How many.",
    body: ReplayBody,
    errors: [NOT_FOUND],
    async handle(context, call) {
      const { account, books } = await accountIn(context, call.params);
      const replayed = await books.replay(call.body.target, call.dryRun);
      if (!call.dryRun && replayed > 0) {
        await tellAudit(context, call, {
          action: "outbox.replay",
          target: `accounts/${account.id}/outbox`,
          before: null,
          after: { ...call.body, replayed },
        });
      }
      return Response.json({ replayed, ...(call.dryRun && { dryRun: true }) });
    },
  }),
];

const TYPES: Readonly<Record<Format, string>> = {
  json: "application/json",
  csv: "text/csv; charset=utf-8; header=present",
  html: "text/html; charset=utf-8",
};

/** The first of its media types that there is; JSON for all others. */
function accepted(accept: string): Format {
  for (const part of accept.split(",")) {
    const type = part.split(";")[0]?.trim().toLowerCase();
    if (type === "text/csv") return "csv";
    if (type === "text/html") return "html";
    if (type === "application/json" || type === "*/*") return "json";
  }
  return "json";
}
