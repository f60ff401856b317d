import { setTimeout as sleep } from "node:timers/promises";

import { CATALOG_KV_KEY, FRESH_MS } from "../../../catalog/reader.ts";
import { type Check, hold, rounded } from "../check.ts";
import { type Subject, typed } from "./subject.ts";
import { MODEL } from "./texts.ts";
import { writtenForEdge } from "./walk.ts";

/** KV's cache in a data centre: an isolate may be told the old catalog for so long. */
const KV_CACHE_MS = 30_000;
/** Where requests come every 100 ms. */
const POLL_MS = 100;

/** How a model's `stable` is reached by a running edge after it was moved. */
export const catalogReachesEdge: Check<Subject> = {
  claim: `a catalog change reaches a running edge within ${(FRESH_MS + KV_CACHE_MS) / 1000} s; before and after, it answers`,
  async run(subject) {
    const moved = await typed(subject, ["switch", MODEL, "--off"]);
    hold(moved.exitCode === 0, moved.err);
    const offAfter = await untilStatus(subject, 503);
    const back = await typed(subject, ["switch", MODEL, "--on"]);
    hold(back.exitCode === 0, back.err);
    const onAfter = await untilStatus(subject, 200);
    return {
      killSwitchSeconds: rounded(offAfter / 1000, 1),
      switchedOnSeconds: rounded(onAfter / 1000, 1),
    };
  },
};

/** A namespace that holds nonsense, and one that holds nothing. */
export const brokenCatalog: Check<Subject> = {
  claim: "a broken or missing catalog leaves the last good one serving",
  async run(subject) {
    const { stack } = subject;
    const good = await writtenForEdge(subject);
    const namespace = await stack.miniflare.getKVNamespace("CATALOG", "edge");
    const before = await catalogNumber(subject);
    let requests = 0;
    try {
      for (const broken of [
        "{ not json",
        '{"schema":1,"number":1e9,"models":{"x":1}}',
        undefined,
      ]) {
        if (broken === undefined) await namespace.delete(CATALOG_KV_KEY);
        else await namespace.put(CATALOG_KV_KEY, broken);
        // Past the time for which a copy is fresh, so that the broken one is read, or tried to be.
        const until = performance.now() + FRESH_MS + 1_000;
        while (performance.now() < until) {
          const response = await ask(subject);
          hold(response.status === 200, `it answered ${response.status}: ${await response.text()}`);
          requests++;
          await sleep(POLL_MS * 5);
        }
        hold((await catalogNumber(subject)) === before, "another catalog is served");
      }
    } finally {
      await namespace.put(CATALOG_KV_KEY, good);
    }
    return { answeredWithBrokenCatalog: requests };
  },
};

async function untilStatus(subject: Subject, wanted: number): Promise<number> {
  const began = performance.now();
  for (;;) {
    const { status } = await ask(subject);
    const elapsed = performance.now() - began;
    if (status === wanted) return elapsed;
    hold(status === 200 || status === 503, `it answered ${status}`);
    hold(elapsed < FRESH_MS + KV_CACHE_MS, `after ${elapsed} ms it still answers ${status}`);
    await sleep(POLL_MS);
  }
}

async function catalogNumber(subject: Subject): Promise<number> {
  return Number((await ask(subject)).headers.get("nearside-catalog"));
}

function ask({ stack, texts }: Subject): Promise<Response> {
  return fetch(`${stack.edgeUrl}/v1/predict/${MODEL}`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: texts[0] ?? new Uint8Array(),
  });
}
