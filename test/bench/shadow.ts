import path from "node:path";

import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

import type { UsageEvent } from "../../src/billing/usage-event.ts";
import { type FlagSet, compileCatalog } from "../../src/catalog/catalog.ts";
import type { Manifest } from "../../src/catalog/manifest.ts";
import { CATALOG_KV_KEY } from "../../src/catalog/reader.ts";
import { EDGE } from "../../src/cli/bundle.ts";
import { readExample } from "../../src/cli/examples.ts";
import { bundleWorkers, bundledModules, freePort } from "../../src/cli/local-stack.ts";
import { miniflareOptions, storeOf } from "../../src/cli/local-store.ts";
import { HOST } from "../../src/cli/state-folder.ts";
import { buildModel } from "../../src/publish/build.ts";
import type { PublishTarget } from "../../src/publish/bucket.ts";
import { publishCandidate } from "../../src/publish/publish.ts";
import { prepareRuntime } from "../../src/publish/runtime.ts";
import { readFixtures } from "../../src/publish/source.ts";
import { GENERATED, ROOT } from "../../src/publish/workspace.ts";
import { type BenchRequest, KeepAliveClient } from "./client.ts";
import { type Figure, figureOf, ratioOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";

const MODEL = "guesslang";
const STATE = path.join(GENERATED, "bench", "shadow");

/** Requests of each side in a sample; the sample is their median. */
const REQUESTS = 30;
const WARM_UP_REQUESTS = 60;
/** A caller's pause between two requests: without one the isolate is never quiet, and no shadow runs. */
const THINK_MS = { least: 15, most: 20 };

const SIDES = ["without", "with"] as const;
type Side = (typeof SIDES)[number];

/** Tells how many shadows ran, by outcome: it consumes the edge's queue. */
const COUNTER = `
const outcomes = {};
export default {
  async queue({ messages }) {
    for (const { body } of messages) {
      if (body.kind === "shadow") outcomes[body.outcome] = (outcomes[body.outcome] ?? 0) + 1;
    }
  },
  fetch: () => Response.json(outcomes),
};`;

export type Outcomes = Partial<Record<Extract<UsageEvent, { kind: "shadow" }>["outcome"], number>>;

export interface ShadowCase {
  readonly model: string;
  readonly withoutMs: Figure;
  readonly withMs: Figure;
  readonly ratio: number;
  /** Requests that had a shadow. */
  readonly shadowed: number;
  /** What became of their shadows, as the queue tells. */
  readonly outcomes: Outcomes;
}

/**
 * What a shadow for every request costs the requests: the same answered by version 1, with and without
 * version 2 as its shadow, in turn in one isolate, over HTTP, with a pause after each.
 */
export async function shadow(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly ShadowCase[] }> {
  say("bundling and publishing");
  await prepareRuntime();
  await bundleWorkers();
  const { url, counterUrl, target, stop } = await startCounted();
  try {
    await publishVersions(target, say);
    return reportOf([await measure(url, counterUrl, samples, say)]);
  } finally {
    await stop();
  }
}

/** The bundled edge, and a consumer of its queue. */
async function startCounted() {
  const [port, counterPort] = [await freePort(0), await freePort(0)];
  const { workerOptions } = unstable_getMiniflareWorkerOptions(EDGE.config);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...miniflareOptions(STATE),
      workers: [
        {
          ...workerOptions,
          name: EDGE.name,
          bindings: { ...(workerOptions.bindings as object), ANONYMOUS: "allowed" },
          serviceBindings: {},
          ratelimits: {},
          modulesRoot: EDGE.folder,
          modules: await bundledModules(EDGE.folder),
          unsafeDirectSockets: [{ host: HOST, port }],
        },
        {
          name: "counter",
          modules: true,
          script: COUNTER,
          queueConsumers: { usage: { maxBatchSize: 100, maxBatchTimeout: 1 } },
          unsafeDirectSockets: [{ host: HOST, port: counterPort }],
        },
      ],
    }),
  );
  await miniflare.ready;
  return {
    url: `http://${HOST}:${port}`,
    counterUrl: `http://${HOST}:${counterPort}`,
    target: await storeOf(miniflare, EDGE.name),
    stop: () => miniflare.dispose(),
  };
}

/**
 * The same content as versions 1 and 2, and a flag that tells the sides by the length of the body: both send
 * the same JSON, and one a space after it.
 */
async function publishVersions(target: PublishTarget, say: (line: string) => void): Promise<void> {
  const folder = path.join(ROOT, "models", MODEL);
  const built = await buildModel(folder);
  const fixtures = await readFixtures(folder);
  const manifests: Manifest[] = [];
  for (const version of [1, 2]) {
    const candidate = { ...built, fixtures, source: { ...built.source, version } };
    manifests.push(await publishCandidate(candidate, target, say, { replace: true }));
  }
  const flags: FlagSet = {
    flags: {
      [MODEL]: {
        state: "ENABLED",
        variants: {
          without: { version: 1 },
          with: { version: 1, shadow: { version: 2, rate: 1 } },
        },
        defaultVariant: "without",
        targeting: {
          if: [{ "==": [{ var: "inputBytes" }, (await bodyOf("with")).length] }, "with", "without"],
        },
      },
    },
  };
  const models = { [MODEL]: { versions: [1, 2], labels: { stable: 1 } } };
  const catalog = compileCatalog({ schema: 1, number: 1, models, flags }, (_, version) => {
    const manifest = manifests.find((one) => one.version === version);
    if (manifest === undefined) throw new Error(`Version ${version} was not published.`);
    return manifest;
  });
  await target.namespace.put(CATALOG_KV_KEY, JSON.stringify(catalog));
}

async function bodyOf(side: Side): Promise<Uint8Array> {
  const { body, contentType } = await readExample(path.join(ROOT, "models", MODEL));
  const text = new TextDecoder().decode(body);
  const json = contentType === "application/json" ? text : JSON.stringify({ inputs: text });
  return new TextEncoder().encode(side === "with" ? `${json} ` : json);
}

async function measure(
  url: string,
  counterUrl: string,
  samples: number,
  say: (line: string) => void,
): Promise<ShadowCase> {
  const client = new KeepAliveClient();
  const requestOf = async (side: Side): Promise<BenchRequest> => ({
    url: `${url}/v1/predict/${MODEL}`,
    contentType: "application/json",
    body: await bodyOf(side),
  });
  const requests = { without: await requestOf("without"), with: await requestOf("with") };
  let shadowed = 0;
  const send = async (side: Side): Promise<number> => {
    const milliseconds = await client.send(requests[side]);
    if (side === "with") shadowed++;
    await pause(THINK_MS.least + Math.random() * (THINK_MS.most - THINK_MS.least));
    return milliseconds;
  };
  for (let request = 0; request < WARM_UP_REQUESTS; request++) {
    await send(SIDES[request % SIDES.length] ?? "with");
  }
  const measured: Record<Side, number[]> = { without: [], with: [] };
  for (let sample = 1; sample <= samples; sample++) {
    say(`sample ${sample} of ${samples}`);
    // Each first in turn.
    for (const side of sample % 2 === 0 ? SIDES : SIDES.toReversed()) {
      // What the other side's last shadow costs is not this side's.
      await send(side);
      const milliseconds: number[] = [];
      for (let request = 0; request < REQUESTS; request++) milliseconds.push(await send(side));
      measured[side].push(figureOf(milliseconds).median);
    }
  }
  client.close();
  const [withoutMs, withMs] = [figureOf(measured.without), figureOf(measured.with)];
  const outcomes = await countOf(counterUrl, shadowed);
  return {
    model: MODEL,
    withoutMs,
    withMs,
    ratio: ratioOf(withMs, withoutMs),
    shadowed,
    outcomes,
  };
}

/** The queue is emptied once in a second. */
const COUNT_ATTEMPTS = 30;
const COUNT_PAUSE_MS = 200;

async function countOf(counterUrl: string, expected: number): Promise<Outcomes> {
  let outcomes: Outcomes = {};
  for (let attempt = 0; attempt < COUNT_ATTEMPTS; attempt++) {
    outcomes = (await (await fetch(counterUrl)).json()) as Outcomes;
    const counted = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
    if (counted >= expected) break;
    await pause(COUNT_PAUSE_MS);
  }
  return outcomes;
}

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

function reportOf(
  cases: readonly ShadowCase[],
): Report & { readonly cases: readonly ShadowCase[] } {
  return {
    cases,
    columns: ["model", "without ms", "with shadow ms", "ratio", "shadows that ran"],
    rows: cases.map((one) => [
      one.model,
      spread(one.withoutMs),
      spread(one.withMs),
      String(one.ratio),
      `${one.outcomes.compared ?? 0} of ${one.shadowed}`,
    ]),
    picture: {
      title: `A request while a shadow runs for each, ${THINK_MS.least}-${THINK_MS.most} ms between requests`,
      unit: "ms",
      bars: cases.flatMap(({ model, withoutMs, withMs }) => [
        { label: model, figure: withoutMs, kind: "without a shadow" },
        { label: "", figure: withMs, kind: "with a shadow" },
      ]),
    },
  };
}
