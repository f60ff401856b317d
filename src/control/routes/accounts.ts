import * as v from "valibot";

import { AccountId, newId } from "../../accounts/account.ts";
import { exportProblem } from "../../billing/export-config.ts";
import { NearsideError } from "../../errors.ts";
import { AccountBody, type AccountConfig } from "../accounts/account-config.ts";
import { tellAudit } from "../accounts/audited.ts";
import { untilUndisturbed } from "../undisturbed.ts";
import { NOT_FOUND, accountIn } from "../accounts/find-account.ts";
import { listAccounts } from "../accounts/publication.ts";
import type { ControlContext } from "../context.ts";
import { checkPrecondition, etagOf } from "../precondition.ts";
import { NumberText } from "../query.ts";
import { type ChangingCall, change, entity, read } from "../route.ts";

const ACCOUNTS = "/v1/accounts";
export const ACCOUNT = `${ACCOUNTS}/:account`;

/** Each is asked of its own Durable Object, and a request may ask a thousand. */
const MAX_LISTED = 500;

const ListQuery = v.strictObject({
  after: v.optional(AccountId),
  limit: v.optional(
    v.pipe(
      NumberText,
      v.check((limit) => limit <= MAX_LISTED, `must be ${MAX_LISTED} at most`),
    ),
    String(MAX_LISTED),
  ),
});

/** Who pays. */
export const accountRoutes = [
  read({
    path: ACCOUNTS,
    summary: "Lists the accounts. Go on with `after` = the last id.",
    answers: "The accounts, by id.",
    query: ListQuery,
    errors: [],
    async handle({ accounts, booksOf }, { query: { after, limit } }) {
      const range = { limit, ...(after !== undefined && { after }) };
      const ids = await listAccounts(accounts.bucket, range);
      const found = await Promise.all(ids.map((id) => booksOf(id).account()));
      return Response.json(found.filter((account) => account !== null));
    },
  }),
  read({
    path: ACCOUNT,
    summary: "Gives one account.",
    answers: "The account.",
    errors: [NOT_FOUND],
    handle: async (context, { params }) => entity((await accountIn(context, params)).account),
  }),
  change({
    method: "POST",
    path: ACCOUNTS,
    status: 201,
    summary: "Makes an account. Send If-None-Match: *, and an id of your own to make it once.",
    answers: "The account.",
    body: AccountBody,
    errors: ["invalid_change"],
    async handle(context, call) {
      const { body, precondition } = call;
      if (precondition.kind !== "absent") {
        throw new NearsideError(
          "precondition_failed",
          "An account is made here, not changed: send If-None-Match: *, or PUT to the account.",
          { field: "if-match" },
        );
      }
      return put(context, call, { ...body, id: body.id ?? newId("acc_") }, 201);
    },
  }),
  change({
    method: "PUT",
    path: ACCOUNT,
    summary: "Sets an account: name, plan, limits, models, signers, exports.",
    answers: "The account.",
    body: AccountBody,
    errors: [NOT_FOUND, "invalid_change"],
    async handle(context, call) {
      const { account } = await accountIn(context, call.params);
      const { id = account.id } = call.body;
      if (id !== account.id) {
        throw new NearsideError("invalid_change", "An account's id can't change.", { field: "id" });
      }
      return put(context, call, { ...call.body, id }, 200);
    },
  }),
];

async function put(
  context: ControlContext,
  call: ChangingCall,
  next: AccountConfig,
  status: 200 | 201,
): Promise<Response> {
  refuseExports(context, next);
  const what = `account ${next.id}`;
  const books = context.booksOf(next.id);
  const { before } = await untilUndisturbed(what, async () => {
    const seen = await books.account();
    await checkPrecondition(call.precondition, what, seen ?? undefined);
    return call.dryRun || (await books.replace(seen, next)) ? { before: seen } : undefined;
  });
  if (call.dryRun) return Response.json({ ...next, dryRun: true });
  await tellAudit(context, call, {
    action: before === null ? "account.create" : "account.put",
    target: `accounts/${next.id}`,
    before,
    after: next,
  });
  const headers = new Headers({ etag: await etagOf(next) });
  if (status === 201) headers.set("location", `${ACCOUNTS}/${next.id}`);
  return Response.json(next, { status, headers });
}

function refuseExports({ allowPrivateExports }: ControlContext, { exports }: AccountConfig): void {
  const problems = exports.flatMap((one, index) => {
    const problem = exportProblem(one, allowPrivateExports);
    return problem === undefined ? [] : [{ field: `exports[${index}]`, problem }];
  });
  const [first] = problems;
  if (first === undefined) return;
  throw new NearsideError("invalid_change", `${first.field}: ${first.problem}.`, {
    field: first.field,
    problems,
  });
}
