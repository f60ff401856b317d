import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { type Check, hold, rounded } from "../check.ts";
import { type ChaosStack, startChaos } from "./chaos-stack.ts";
import { balances, type Customer, openAccount, setPrice, statementOf } from "./customer.ts";
import { type Paid, Payer } from "./payers.ts";

const REQUESTS = 50_000;
const ISOLATES = 4;
const CONNECTIONS = 8;
const KILLS = 2;
/** Every so many requests come with an Idempotency-Key, and twice. */
const RETRIED_EVERY = 50;
const CREDIT_NANO = 1_000_000_000_000;
/** Events wait for a batch of the edge, of the chaos and of the control plane, and some of them for longer. */
const MOST_LOST_SECONDS = 3;
/** Of the chaos, in which every message may be late three times. */
const SETTLE_MS = 40_000;

interface Harvest {
  /** Answers that were billed, by the digest of their receipts. */
  readonly paid: Map<string, Paid>;
  replays: number;
  refused: number;
  lostAnswers: number;
  asked: number;
}

/**
 * Four isolates, 50,000 requests, a queue that delays, repeats and drops, ledgers that restart because the
 * process is killed, twice.
 */
export const chaos: Check<undefined> = {
  claim: `${REQUESTS} requests over ${ISOLATES} isolates, with messages that come late and twice, retried Idempotency-Keys and workerd killed ${KILLS} times: no answer is billed twice and none goes missing but what a kill takes with it (bounded, and measured), the statement adds up to the nano-dollar, the ledger balances`,
  async run() {
    const state = await mkdtemp(path.join(tmpdir(), "nearside-chaos-"));
    let stack = await startChaos(state, ISOLATES);
    try {
      await setPrice(stack.control);
      const customer = await openAccount(stack.control, {}, CREDIT_NANO);
      const harvest: Harvest = {
        paid: new Map(),
        replays: 0,
        refused: 0,
        lostAnswers: 0,
        asked: 0,
      };
      const began = performance.now();
      for (let part = 0; part <= KILLS; part++) {
        const until = Math.round((REQUESTS * (part + 1)) / (KILLS + 1));
        await ask(stack, customer, harvest, until);
        if (part === KILLS) break;
        // In the middle of the load, so that something is on its way.
        const [before, billedBefore] = [harvest.paid.size, performance.now()];
        const killing = ask(stack, customer, harvest, until + 2_000);
        await sleep(400);
        const pid = stack.workerdPid;
        hold(pid !== undefined, "the process can't be told from others (this proof needs Linux)");
        process.kill(pid, "SIGKILL");
        await killing;
        await stack.stop().catch(() => undefined);
        stack = await startChaos(state, ISOLATES);
        console.log(
          `    killed after ${before} answers, ${Math.round(performance.now() - billedBefore)} ms ago; started again on its state`,
        );
      }
      const seconds = (performance.now() - began) / 1000;
      const receipts = [...harvest.paid.values()];
      const receiptsNano = receipts.reduce((total, { amount }) => total + amount, 0);
      const [{ amount: price = 0 } = {}] = receipts;
      const statement = await settled(stack, customer, receiptsNano);
      const billed = statement.lines.reduce((total, line) => total + line.requests, 0);
      hold(await balances(stack.control, customer.account), "the ledger does not add up");
      hold(statement.usage === billed * price, `${billed} requests cost ${statement.usage}`);
      // More billed than answered can only be answers that a kill cut off on their way to the caller.
      const lost = receipts.length - billed;
      hold(-lost <= harvest.lostAnswers, `${-lost} requests were billed twice, or out of nothing`);
      // What a kill takes with it was in the memory of an isolate, or of Miniflare's queue (Cloudflare's is durable).
      const lostSeconds = lost / (receipts.length / seconds);
      hold(lostSeconds <= KILLS * MOST_LOST_SECONDS, `${lost} answers were never billed`);
      return {
        answered: receipts.length,
        billed,
        lostByKills: Math.max(0, lost),
        lostSecondsOfTraffic: rounded(Math.max(0, lostSeconds), 2),
        answersCutOff: harvest.lostAnswers,
        replayed: harvest.replays,
        statementNano: statement.usage,
        receiptsNano,
      };
    } finally {
      await stack.stop().catch(() => undefined);
      await rm(state, { recursive: true, force: true });
    }
  },
};

/** Asks until so many were asked; a process that goes away ends it. */
async function ask(
  { edgeUrls }: ChaosStack,
  customer: Customer,
  harvest: Harvest,
  until: number,
): Promise<void> {
  let isGone = false;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, connection) => {
      const payer = new Payer();
      const url = edgeUrls[connection % edgeUrls.length] ?? "";
      while (!isGone && harvest.asked < until) {
        const number = harvest.asked++;
        const isRetried = number % RETRIED_EVERY === 0;
        const headers = isRetried ? { "idempotency-key": `proof-${number}` } : {};
        try {
          note(harvest, await payer.ask(url, customer, headers));
          if (isRetried) note(harvest, await payer.ask(url, customer, headers));
        } catch {
          // It may have been computed, and even billed: nobody has heard.
          harvest.lostAnswers++;
          isGone = true;
        }
      }
      payer.close();
    }),
  );
}

function note(harvest: Harvest, { status, paid }: Awaited<ReturnType<Payer["ask"]>>): void {
  if (paid === undefined) {
    hold(status === 503 || status === 402 || status === 409, `it answered ${status}`);
    harvest.refused++;
  } else if (paid.isReplay) {
    harvest.replays++;
  } else {
    harvest.paid.set(paid.receipt, paid);
  }
}

/** The statement once it no longer changes, or says what the receipts say. */
async function settled(stack: ChaosStack, { account }: Customer, sum: number) {
  const began = performance.now();
  let last = -1;
  for (;;) {
    const statement = await statementOf(stack.control, account);
    const isSame = statement.usage === last;
    if (statement.usage === sum || (isSame && performance.now() - began > SETTLE_MS / 4)) {
      return statement;
    }
    hold(performance.now() - began < SETTLE_MS, "the statement does not come to rest");
    last = statement.usage;
    await sleep(1_500);
  }
}
