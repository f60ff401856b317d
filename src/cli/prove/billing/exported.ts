import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { checkReceipt, type ReceiptKeySet } from "../../../billing/receipt.ts";
import { REVOCATION_SECONDS } from "../../../accounts/key-cache.ts";
import { type Check, hold } from "../check.ts";
import { type ChaosStack, startChaos } from "./chaos-stack.ts";
import { METER, startCloudEvents, startStripe } from "./collectors.ts";
import { type Customer, openAccount, setPrice } from "./customer.ts";
import { Payer } from "./payers.ts";
import * as v from "valibot";

const REQUESTS = 300;
const CREDIT_NANO = 10_000_000_000;
const DELIVERED_WITHIN_MS = 100_000;
const GRACE_MS = 3_000;

/** Two accounts, two collectors that fail now and then, and whoever wants what is not theirs. */
export const exportedAndClosed: Check<undefined> = {
  claim: `through outages a Stripe stand-in and a CloudEvents collector count each event once; a revoked key is refused within ${REVOCATION_SECONDS} s; nobody reads another's usage, and no forged receipt passes`,
  async run() {
    const state = await mkdtemp(path.join(tmpdir(), "nearside-exports-"));
    const stripe = await startStripe();
    const events = await startCloudEvents();
    const stack = await startChaos(state, 1);
    try {
      await setPrice(stack.control);
      const exports = [
        {
          kind: "stripe",
          secretRef: "EXPORT_STRIPE",
          eventName: METER,
          customer: "cus_proof",
          origin: stripe.url,
        },
        { kind: "cloudevents", url: `${events.url}/events` },
      ];
      const exporting = await openAccount(stack.control, { exports }, CREDIT_NANO);
      const other = await openAccount(stack.control, {}, CREDIT_NANO);
      const receipts = await pay(stack, exporting, REQUESTS);
      await pay(stack, other, 3);

      const revoked = await revoke(stack, other);
      const strangers = await refuseStrangers(stack, exporting, receipts);
      const began = performance.now();
      for (;;) {
        const counts = [stripe.counted().length, events.counted().length];
        if (counts.every((count) => count === REQUESTS)) break;
        hold(
          performance.now() - began < DELIVERED_WITHIN_MS,
          `of ${REQUESTS} events ${counts.join(" and ")} were delivered`,
        );
        await sleep(500);
      }
      for (const { counted } of [stripe, events]) {
        hold(new Set(counted()).size === REQUESTS, "an event was counted twice");
      }
      return {
        stripeEvents: stripe.counted().length,
        cloudEvents: events.counted().length,
        revokedAfterSeconds: await revoked,
        ...strangers,
      };
    } finally {
      await stack.stop();
      stripe.stop();
      events.stop();
      await rm(state, { recursive: true, force: true });
    }
  },
};

async function pay({ edgeUrls }: ChaosStack, customer: Customer, requests: number) {
  const payer = new Payer();
  const receipts: string[] = [];
  for (let request = 0; request < requests; request++) {
    const { status, paid } = await payer.ask(edgeUrls[0] ?? "", customer);
    hold(paid !== undefined, `it answered ${status}`);
    receipts.push(paid.receipt);
  }
  payer.close();
  return receipts;
}

/** @returns seconds until the edge refuses it */
async function revoke(stack: ChaosStack, { account, key, keyId }: Customer): Promise<number> {
  await stack.control.change(`/v1/accounts/${account}/keys/${keyId}`, v.looseObject({}), {
    method: "DELETE",
    etag: "*",
  });
  const began = performance.now();
  const payer = new Payer();
  for (;;) {
    const { status, code } = await payer.ask(stack.edgeUrls[0] ?? "", { key });
    const elapsed = performance.now() - began;
    if (status === 401 && code === "key_revoked") {
      payer.close();
      return Math.round(elapsed / 1000);
    }
    hold(status === 200, `it answered ${status}: ${code ?? ""}`);
    hold(elapsed < REVOCATION_SECONDS * 1000 + GRACE_MS, "a revoked key is still accepted");
    await sleep(1_000);
  }
}

async function refuseStrangers(
  { edgeUrls, controlUrl }: ChaosStack,
  { account, key }: Customer,
  [receipt = ""]: readonly string[],
) {
  const edgeUrl = edgeUrls[0] ?? "";
  const keys = (await (await fetch(`${edgeUrl}/.well-known/jwks.json`)).json()) as ReceiptKeySet;
  hold((await checkReceipt(receipt, keys)).ok, "a real receipt is not accepted");
  const [header = "", payload = "", signature = ""] = receipt.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as { amount: number };
  const cheaper = Buffer.from(JSON.stringify({ ...claims, amount: 1 })).toString("base64url");
  const none = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  for (const forged of [
    `${header}.${cheaper}.${signature}`,
    `${none}.${payload}.`,
    `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
  ]) {
    hold(!(await checkReceipt(forged, keys)).ok, "a forged receipt is accepted");
  }
  const attempts: readonly [url: string, init: RequestInit, statuses: readonly number[]][] = [
    [`${edgeUrl}/v1/usage`, {}, [401]],
    [`${edgeUrl}/v1/usage`, bearer(`${key.slice(0, -1)}${key.endsWith("a") ? "b" : "a"}`), [401]],
    [`${controlUrl}/v1/accounts/${account}/usage`, bearer(key), [401]],
    [`${controlUrl}/v1/accounts/${account}/statement`, {}, [401]],
    [`${edgeUrl}/v1/usage`, bearer(key), [200]],
  ];
  for (const [url, init, statuses] of attempts) {
    const { status } = await fetch(url, init);
    hold(statuses.includes(status), `${url} answers ${status}`);
  }
  return { forgeriesRefused: 3, strangersRefused: attempts.length - 1 };
}

const bearer = (token: string): RequestInit => ({ headers: { authorization: `Bearer ${token}` } });
