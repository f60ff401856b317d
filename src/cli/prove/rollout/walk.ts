import { setTimeout as sleep } from "node:timers/promises";

import * as v from "valibot";

import { CATALOG_KV_KEY } from "../../../catalog/reader.ts";
import { Catalog } from "../../../catalog/catalog.ts";
import { compile } from "../../../catalog/compile.ts";
import type { RolloutView } from "../../../rollout/view.ts";
import { chooseVersion } from "../../../routing/choose.ts";
import { flagdProvider } from "../../../routing/flagd.ts";
import { hold } from "../check.ts";
import { catalogNow, type Subject } from "./subject.ts";
import { MODEL } from "./texts.ts";

const KEYS = 20_000;
/** Of all keys, in percent. */
const SHARE_TOLERANCE = 1;
const POLL_MS = 500;

/** What the steps of one rollout gave 20,000 callers. */
export interface Walk {
  readonly view: RolloutView;
  /** Percent of keys with the candidate, by the step's planned percent. */
  readonly shares: ReadonlyMap<number, number>;
}

/**
 * Follows a rollout until it is over. At every step the version of 20,000 callers is computed from what the
 * edge reads: the share is the planned one, and nobody who had the candidate loses it.
 */
export async function follow(subject: Subject, deadlineMs: number): Promise<Walk> {
  const began = performance.now();
  const shares = new Map<number, number>();
  let before = new Set<number>();
  for (;;) {
    const view = await current(subject);
    if (view.status !== "running") return { view, shares };
    if (!shares.has(view.share)) {
      const having = await keysWith(subject, view.plan.version);
      const share = (having.size / KEYS) * 100;
      shares.set(view.share, share);
      subject.say(
        `    step ${view.step + 1}: ${share.toFixed(2)} % of ${KEYS} callers get version ${view.plan.version}`,
      );
      hold(
        Math.abs(share - view.share) <= SHARE_TOLERANCE,
        `${share} % of callers get the candidate at a step of ${view.share} %`,
      );
      const lost = [...before].filter((key) => !having.has(key));
      hold(lost.length === 0, `${lost.length} callers lost the candidate again`);
      before = having;
    }
    hold(
      performance.now() - began < deadlineMs,
      `the rollout is still running: ${view.waitingFor ?? ""}`,
    );
    await sleep(POLL_MS);
  }
}

/** The keys that the catalog as it is gives a version. */
async function keysWith(subject: Subject, version: number): Promise<Set<number>> {
  const catalog = await compile(subject.stack.target, await catalogNow(subject));
  const provider = catalog.flags && flagdProvider(catalog.flags);
  const having = new Set<number>();
  for (let key = 0; key < KEYS; key++) {
    const context = { targetingKey: `key-${key}` };
    const choice = await chooseVersion(catalog, { model: MODEL }, { context }, provider);
    if (choice.manifest.version === version) having.add(key);
  }
  return having;
}

async function current({ control }: Subject): Promise<RolloutView> {
  const { value } = await control.get(`/v1/models/${MODEL}/rollout`, v.looseObject({}));
  return value as unknown as RolloutView;
}

/** What the edge reads, as it stands in the namespace. */
export async function writtenForEdge({ stack }: Subject): Promise<string> {
  const namespace = await stack.miniflare.getKVNamespace("CATALOG", "edge");
  const text = (await namespace.get(CATALOG_KV_KEY, "text")) ?? "";
  v.parse(Catalog, JSON.parse(text));
  return text;
}
