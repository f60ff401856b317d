import { digestOf } from "../billing/receipt.ts";
import type { Billing } from "../billing/ledger/event.ts";
import { type Charge, stampCost } from "./charge.ts";
import type { Forwarded } from "./run.ts";
import type { Placement } from "../routing/placement.ts";

export interface Billed {
  readonly response: Response;
  readonly billing: Billing | undefined;
}

/**
 * Fixes what an answer costs, and says it on the answer, which is here already: its receipt is among its headers.
 */
export async function bill(
  charge: Charge,
  { response: unbilled, units }: Forwarded,
  placement: Placement,
  request: Uint8Array<ArrayBuffer>,
): Promise<Billed> {
  // A body that is here already is a quarter of the cost by one call.
  const body = new Uint8Array(await unbilled.arrayBuffer());
  const [requestDigest, responseDigest] = await Promise.all([digestOf(request), digestOf(body)]);
  const settled = await charge.settle({ placement, units, requestDigest, responseDigest });
  const response = new Response(body, unbilled);
  stampCost(response.headers, settled);
  return { response, billing: settled?.billing };
}
