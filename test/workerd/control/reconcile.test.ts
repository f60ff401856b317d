import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import { changeCatalog } from "../../../src/catalog/changes.ts";
import { reconcile } from "../../../src/control/reconcile.ts";
import { contextOf } from "../../../workers/control/index.ts";
import { controlOf, publishModels } from "../../support/control.ts";

const { ask, get } = controlOf();

const numberForEdge = async (): Promise<number> =>
  (JSON.parse((await env.CATALOG.get(CATALOG_KV_KEY)) ?? "{}") as { number: number }).number;

describe("reconciling", () => {
  beforeAll(() => publishModels({ lost: [1, 2] }));

  it("shows the edge a catalog whose writer died before it did", async () => {
    const before = (await env.CATALOG.get(CATALOG_KV_KEY)) ?? "";
    await ask("PUT", "/v1/models/lost/switches", {
      body: { off: true, offVersions: [] },
      headers: { "if-match": "*" },
    });
    await env.CATALOG.put(CATALOG_KV_KEY, before);
    await reconcile(contextOf(env, "cron"));
    expect(await numberForEdge()).toBe(2);
    await env.CATALOG.put(CATALOG_KV_KEY, "{ nonsense");
    await reconcile(contextOf(env, "cron"));
    expect(await numberForEdge()).toBe(2);
  });

  it("tells the audit log of changes that nobody told it of, each once", async () => {
    await changeCatalog(
      { bucket: env.MODELS, namespace: env.CATALOG },
      { by: "publish", change: "canary of lost", now: 0 },
      (source) => ({
        ...source,
        models: {
          lost: { versions: [1, 2], labels: { stable: 1, "found-again": 2 } },
        },
      }),
    );
    for (let time = 0; time < 3; time++) await reconcile(contextOf(env, "cron"));
    const entries = (await get("/v1/audit?model=lost")).json as { after: object }[];
    const told = entries.filter(({ after }) => "models.lost.labels.found-again" in after);
    expect(told).toMatchObject([
      { actor: "publish", action: "catalog.change", details: { change: "canary of lost" } },
    ]);
  });
});
