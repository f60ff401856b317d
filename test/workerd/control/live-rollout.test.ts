import {
  createExecutionContext,
  createMessageBatch,
  getQueueResult,
  runDurableObjectAlarm,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import guesslang from "../../../models/guesslang/model.json";
import type { UsageEvent } from "../../../src/billing/usage-event.ts";
import { type Catalog, withVersion } from "../../../src/catalog/catalog.ts";
import { changeCatalog } from "../../../src/catalog/changes.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import type { Manifest, TaskConfig } from "../../../src/catalog/manifest.ts";
import type { RolloutView } from "../../../src/rollout/view.ts";
import { chooseVersion } from "../../../src/routing/choose.ts";
import { flagdProvider } from "../../../src/routing/flagd.ts";
import { manifestKey } from "../../../src/store/layout.ts";
import control from "../../../workers/control/index.ts";
import { controlOf } from "../../support/control.ts";
import { edgeOf } from "../../support/edge.ts";
import { GUESSLANG_LEVELS, TEXTS_FILE, graphFile } from "../../support/guesslang-names.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { bytesOf } from "../../support/stored-snapshots.ts";

const { authors, good, worse } = GUESSLANG_LEVELS;
const VERSIONS = { 1: authors, 2: worse, 3: good };
const MODEL = "guesslang";
const KEYS = 20_000;

const PLAN = { minSeconds: 600, minRequests: 20, minComparisons: 60, shadowRate: 1 };
const STEPS = [1, 5, 25, 50, 100];

const { ask, get } = controlOf();
const realNow = Date.now;
/** How far the clock of the test is ahead. */
let ahead = 0;
let texts: Uint8Array<ArrayBuffer>[];

/** Longer than any isolate keeps a catalog without asking for a newer one. */
const CATALOG_MS = 120_000;

/** Lets time pass at once; it goes on meanwhile, as shadows need it. */
function pass(milliseconds: number): void {
  ahead += milliseconds;
}

beforeEach(async () => {
  ahead = 0;
  vi.spyOn(Date, "now").mockImplementation(() => realNow() + ahead);
  const stored = new TextDecoder().decode(await bytesOf(TEXTS_FILE));
  texts = (JSON.parse(stored) as string[]).map((text) => Uint8Array.fromBase64(text));
  for (const [version, levels] of Object.entries(VERSIONS)) {
    const manifest: Manifest = await publishGraph(
      env.MODELS,
      MODEL,
      await bytesOf(graphFile(levels)),
      {
        version: Number(version),
        task: guesslang.task as TaskConfig,
        limits: guesslang.limits,
      },
    );
    await env.MODELS.put(manifestKey(MODEL, manifest.version), JSON.stringify(manifest));
    await changeCatalog(
      { bucket: env.MODELS, namespace: env.CATALOG },
      { by: "publish", change: `version ${version}`, now: Date.now() },
      (source) => withVersion(source, manifest),
    );
  }
});

afterEach(() => vi.restoreAllMocks());

/** What the edge reads now. */
async function published(): Promise<Catalog> {
  return JSON.parse((await env.CATALOG.get(CATALOG_KV_KEY)) ?? "null") as Catalog;
}

/** The version of each key, by what the edge reads now. */
async function versionsOfKeys(): Promise<number[]> {
  const catalog = await published();
  const provider = catalog.flags && flagdProvider(catalog.flags);
  const versions: number[] = [];
  for (let key = 0; key < KEYS; key++) {
    const context = { targetingKey: `user-${key}` };
    const choice = await chooseVersion(catalog, { model: MODEL }, { context }, provider);
    versions.push(choice.manifest.version);
  }
  return versions;
}

/** As the queue does it: in batches, some of them twice. */
async function deliver(events: readonly UsageEvent[]): Promise<void> {
  const messages = events.map((body, index) => ({
    id: String(index),
    timestamp: new Date(),
    attempts: 1,
    body,
  }));
  for (const part of [messages, messages.slice(0, 30)]) {
    const batch = createMessageBatch("usage", part);
    const execution = createExecutionContext();
    await control.queue(batch, env as Parameters<typeof control.queue>[1]);
    const { explicitAcks } = await getQueueResult(batch, execution);
    expect(explicitAcks).toHaveLength(part.length);
  }
}

const stub = () => env.MODEL_ROLLOUTS.getByName(MODEL);

async function rollout(): Promise<RolloutView> {
  return (await get(`/v1/models/${MODEL}/rollout`)).json as RolloutView;
}

/** A rollout with traffic on an edge of its own, until it is over. */
async function rollOut(version: number) {
  const started = await ask("POST", `/v1/models/${MODEL}/rollout`, {
    body: { version, ...PLAN },
    headers: { "if-none-match": "*", "nearside-actor": "ada" },
  });
  expect([started.status, started.json]).toMatchObject([201, { status: "running" }]);
  const edge = edgeOf({ MODEL_BUDGET_BYTES: "100663296" });
  const seen = { shares: new Map<number, number>(), lost: 0, unsteady: 0, failed: 0, requests: 0 };
  let before: number[] = [];
  for (let look = 0; look < 20; look++) {
    const { status, share } = await rollout();
    if (status !== "running") break;
    pass(CATALOG_MS);

    const versions = await versionsOfKeys();
    seen.shares.set(share, (versions.filter((one) => one === version).length / KEYS) * 100);
    seen.lost += before.filter((one, key) => one === version && versions[key] !== version).length;
    before = versions;

    // As many callers of either version: the guards go by what was seen, whoever it was.
    const ofCandidate = keysOf(versions, version).slice(0, 30);
    const ofBaseline = keysOf(versions, 1).slice(0, 30);
    for (const key of [...ofCandidate, ...ofBaseline]) {
      const response = await edge.send(`/v1/predict/${MODEL}`, {
        method: "POST",
        headers: {
          "content-type": "application/octet-stream",
          "nearside-user": `user-${key}`,
        },
        body: texts[(key * 31) % texts.length] ?? null,
      });
      seen.requests++;
      if (response.status !== 200) seen.failed++;
      // Of the first request the answer may still follow the catalog before, and says so.
      const isOfThisCatalog =
        response.headers.get("nearside-catalog") === String((await published()).number);
      if (isOfThisCatalog && Number(response.headers.get("nearside-version")) !== versions[key]) {
        seen.unsteady++;
      }
    }
    await deliver(edge.events.splice(0));
    pass(PLAN.minSeconds * 1000);
    expect(await runDurableObjectAlarm(stub())).toBe(true);
  }
  return { ...seen, view: await rollout() };
}

const keysOf = (versions: readonly number[], wanted: number): number[] =>
  versions.flatMap((version, key) => (version === wanted ? [key] : []));

describe("a rollout against live traffic, with the clock advanced", () => {
  it("rolls coarser weights back by the disagreement guard; nobody's request fails", async () => {
    const { view, ...seen } = await rollOut(2);
    expect(view).toMatchObject({
      status: "rolled_back",
      reason: expect.stringMatching(/^disagreement: /),
      endedBy: "rollout controller",
    });
    expect(seen).toMatchObject({ failed: 0, unsteady: 0, lost: 0 });
    const { models, flags } = await published();
    expect(models[MODEL]?.labels).toEqual({ stable: 1 });
    expect(flags?.flags[MODEL]).toBeUndefined();
    expect(new Set(await versionsOfKeys())).toEqual(new Set([1]));
    const entries = (await get(`/v1/audit?model=${MODEL}`)).json as { action: string }[];
    const decisions = entries.filter(({ action }) => action.startsWith("rollout."));
    expect(decisions).toMatchObject([
      {
        action: "rollout.roll_back",
        details: { findings: expect.any(Array), counts: { comparisons: { items: 60 } } },
      },
      { action: "rollout.start", actor: "ada (admin token)" },
    ]);
  });

  it("walks a good version to 100 % and labels it stable; shares hold, nobody is turned back", async () => {
    const { view, shares, ...seen } = await rollOut(3);
    expect(view.reason).toMatch(/^Promoted: /);
    expect(view.status).toBe("promoted");
    expect([...shares.keys()]).toEqual(STEPS);
    for (const [planned, share] of shares) expect(Math.abs(planned - share)).toBeLessThanOrEqual(1);
    expect(seen).toMatchObject({ failed: 0, unsteady: 0, lost: 0 });
    const { models, flags } = await published();
    expect(models[MODEL]?.labels).toEqual({ stable: 3 });
    expect(flags?.flags[MODEL]).toBeUndefined();
    expect(view.stats).toMatchObject({ candidate: { errors: 0 }, baseline: { errors: 0 } });
  });
});
