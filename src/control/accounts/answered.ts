import { LedgerError } from "../../billing/ledger/errors.ts";
import { MoneyError } from "../../billing/money.ts";
import type { RpcResult } from "../../rollout/view.ts";

/** What a Durable Object answers: of refusals the code, because the class of an error does not survive RPC. */
export function answered<T>(work: () => T): RpcResult<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (error instanceof LedgerError && error.code === "invalid_period") {
      return { ok: false, code: "invalid_request", message: error.message, field: "from" };
    }
    if (error instanceof MoneyError || error instanceof RangeError) {
      return { ok: false, code: "invalid_change", message: error.message, field: "amountNano" };
    }
    throw error;
  }
}
