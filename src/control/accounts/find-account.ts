import * as v from "valibot";

import { AccountId } from "../../accounts/account.ts";
import { NearsideError } from "../../errors.ts";
import type { RpcResult } from "../../rollout/view.ts";
import type { ControlContext } from "../context.ts";
import type { AccountBooks } from "./account-books.ts";
import type { AccountConfig } from "./account-config.ts";

/** What routes of accounts and keys refuse with for those that are not there. */
export const NOT_FOUND = "route_not_found";

/** @throws NearsideError when there is no such account */
export async function accountIn(
  { booksOf }: Pick<ControlContext, "booksOf">,
  { account: id = "" }: Readonly<Record<string, string>>,
): Promise<{ readonly account: AccountConfig; readonly books: AccountBooks }> {
  // What is no id names nothing, and must not make an object.
  if (!v.is(AccountId, id)) throw accountNotFound(id);
  const books = booksOf(id);
  const account = await books.account();
  if (account === null) throw accountNotFound(id);
  return { account, books };
}

/** What a Durable Object answered. @throws NearsideError as it refused */
export function valueOf<T>(result: RpcResult<T>): T {
  if (result.ok) return result.value;
  const { code, message, field } = result;
  throw new NearsideError(code, message, field === undefined ? {} : { field });
}

function accountNotFound(id: string): NearsideError {
  return new NearsideError(
    NOT_FOUND,
    `There is no account "${id.slice(0, 64)}"; GET /v1/accounts lists those that are there.`,
    { field: "account" },
  );
}
