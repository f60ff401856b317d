import type { Principal } from "../accounts/principal.ts";
import type { Admitted } from "../billing/lease.ts";
import type { Billing } from "../billing/ledger/event.ts";
import { type Nano, toDollars } from "../billing/money.ts";
import { type Price, type Units, amountOf, choosePrice } from "../billing/price.ts";
import { digestOf } from "../billing/receipt.ts";
import type { Context } from "../context.ts";
import { NearsideError } from "../errors.ts";
import { PLACEMENTS, type Placement } from "../routing/placement.ts";
import type { Decided } from "./decide.ts";
import { manifestDigest } from "./manifest-digest.ts";
import { payerOf, refusalOf } from "./payer.ts";

/** An answer, for its receipt. */
export interface Answered {
  readonly placement: Placement;
  readonly units: Units;
  /** SHA-256 in hex. */
  readonly requestDigest: string;
  readonly responseDigest: string;
}

export interface Settled {
  readonly billing: Billing;
  /** The JWS; undefined where nothing signs. */
  readonly receipt: string | undefined;
}

/** What a request is admitted to cost. It is to be settled or released, once. */
export class Charge {
  readonly #context: Context;
  readonly #decided: Decided;
  readonly #principal: Principal;
  readonly #admitted: Admitted;
  #isOpen = true;

  private constructor(
    context: Context,
    decided: Decided,
    principal: Principal,
    admitted: Admitted,
  ) {
    this.#context = context;
    this.#decided = decided;
    this.#principal = principal;
    this.#admitted = admitted;
  }

  /**
   * Admits a request against what this isolate holds of the account's credit. The first one of an account asks
   * its ledger and waits; others don't.
   *
   * @param units as far as they are known before the model has run
   * @returns undefined when nobody pays: nobody showed a key, it is for tests, or the model has no price
   * @throws NearsideError `payment_required`, `limit_reached`, `account_suspended`, `ledger_unreachable`,
   *   `billing_unavailable`
   */
  static async admit(
    context: Context,
    decided: Decided,
    units: Units,
  ): Promise<Charge | undefined> {
    const { principal } = decided;
    if (principal === undefined) return undefined;
    // Where it runs is not sure yet, and may change: it must be enough for either place.
    const amounts = pricesOf(decided, context.now()).map((price) => amountOf(price, units));
    if (amounts.length === 0) return undefined;
    const { isolate, timing } = context;
    if (principal.kind === "test") {
      isolate.tests.count(principal.account.id, context.now());
      return undefined;
    }
    const { leases, ledgers, usage } = isolate;
    if (!usage.isOn) throw unavailable("There is no binding USAGE: [[queues.producers]].");
    if (ledgers === undefined) throw unavailable("There is no binding LEDGERS: [[services]].");
    const admission = leases.admit(payerOf(principal), Math.max(...amounts), context);
    const admitted =
      admission.kind === "pending"
        ? await timing.measure("lease", () => admission.decided)
        : admission;
    leases.giveBackEnded((...lease) => ledgers.giveBack(...lease), context);
    if (admitted.kind === "refused") throw refusalOf(admitted);
    return new Charge(context, decided, principal, admitted);
  }

  /** Fixes the price of an answer, and signs for it. */
  async settle(answered: Answered): Promise<Settled | undefined> {
    const { placement, units } = answered;
    const at = this.#decided.meter.answered();
    const price = priceFor(this.#decided, placement, at);
    if (price === undefined) {
      this.release();
      return undefined;
    }
    const amount = amountOf(price, units);
    const receipt = await this.#sign(answered, price, amount, at);
    const { account, keyId, tokenId } = this.#principal;
    const billing: Billing = {
      account: account.id,
      key: keyId,
      price: price.id,
      amount,
      lease: this.#admitted.lease,
      ...(tokenId !== undefined && { token: tokenId }),
      ...(await this.#once(answered)),
      ...(receipt !== undefined && { receipt: await digestOf(receipt) }),
    };
    this.#spend(amount);
    return { billing, receipt };
  }

  /** It failed, or its caller left: it costs nothing. */
  release(): void {
    this.#spend(0);
  }

  /** With what was asked in the key: used for something else, it makes that no cheaper. */
  async #once({
    requestDigest,
  }: Answered): Promise<Pick<Billing, "idempotencyKey" | "idempotencyBegun">> {
    const { once, manifest } = this.#decided;
    if (once === undefined) return {};
    const idempotencyKey = await digestOf(
      JSON.stringify([once.account, once.hash, manifest.name, requestDigest]),
    );
    return {
      idempotencyKey,
      ...(once.begunAt !== undefined && { idempotencyBegun: once.begunAt }),
    };
  }

  #spend(amount: Nano): void {
    if (this.#isOpen) this.#context.isolate.leases.spend(this.#admitted, amount);
    this.#isOpen = false;
  }

  async #sign(answered: Answered, price: Price, amount: Nano, at: number) {
    const { manifest, meter } = this.#decided;
    return this.#context.isolate.receipts.sign(
      {
        requestId: this.#context.requestId,
        event: meter.eventId,
        at: new Date(at).toISOString(),
        account: this.#principal.account.id,
        model: manifest.name,
        version: manifest.version,
        manifest: await manifestDigest(manifest),
        price: price.id,
        amount,
        currency: "USD",
        ...answered,
      },
      at,
      this.#context.log,
    );
  }
}

/**
 * Says on an answer what it cost; nothing where nobody could have paid. It is the list price, as on the receipt:
 * what of it is free, or cheaper by volume, only the ledger knows, and its statements say.
 */
export function stampCost(headers: Headers, settled: Settled | undefined): void {
  const amount = settled?.billing.amount ?? 0;
  headers.set("nearside-cost", costText(amount));
  headers.set("x-litellm-response-cost", toDollars(amount));
  if (settled?.receipt !== undefined) headers.set("nearside-receipt", settled.receipt);
}

/** `12000 nano-usd` */
export const costText = (amount: Nano): string => `${amount} nano-usd`;

/** What it would cost, wherever it runs. */
export function pricesOf(decided: Pick<Decided, "catalog" | "manifest">, at: number): Price[] {
  return PLACEMENTS.flatMap((placement) => priceFor(decided, placement, at) ?? []);
}

/** @param why for operators */
function unavailable(why: string): NearsideError {
  return new NearsideError(
    "billing_unavailable",
    "What costs something can't be billed here, and is not answered; an operator must mend it.",
    { cause: new Error(why) },
  );
}

function priceFor(
  { catalog, manifest: { name, version } }: Pick<Decided, "catalog" | "manifest">,
  placement: Placement,
  at: number,
): Price | undefined {
  return choosePrice(catalog.prices ?? [], { model: name, version, placement, at });
}
