import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";

import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import type { AuditRecord } from "../../../src/control/audit.ts";
import { controlOf, publishModels } from "../../support/control.ts";

/** What the audit log is told: catalogs of every test have the same numbers, and it keeps the first. */
const told: AuditRecord[] = [];
const { ask, get } = controlOf({
  audit: {
    append: async (record) => void told.push(record),
    list: async () => [],
    catalogsFrom: () => Promise.resolve([]),
  },
});

const CREATE = { "if-none-match": "*" };
const ANY = { "if-match": "*" };

const poolAt = (url: string) => ({ protocol: "openai", endpoints: [{ url }] });
const GPU = poolAt("https://gpu-1.example.com/v1");

beforeEach(() => publishModels({ m: [1], other: [1] }));

const setPool = (name: string, body: object = GPU) =>
  ask("PUT", `/v1/pools/${name}`, { body, headers: CREATE });
const setRoute = (pool: string) =>
  ask("PUT", "/v1/models/m/origin", { body: { pool }, headers: CREATE });

describe("pools", () => {
  it("are made, changed, listed with their models, and removed", async () => {
    expect((await get("/v1/pools")).json).toEqual([]);
    expect(await setPool("gpu")).toMatchObject({
      status: 200,
      json: { catalog: 2, changes: [{ field: "pools.gpu", after: GPU }] },
    });
    const seen = await get("/v1/pools/gpu");
    expect(seen.json).toMatchObject({ ...GPU, timeoutMs: 10_000, allowPrivate: false, sign: true });
    const changed = await ask("PUT", "/v1/pools/gpu", {
      body: { ...GPU, timeoutMs: 5_000 },
      headers: { "if-match": seen.etag },
    });
    expect(changed.json).toMatchObject({
      changes: [{ field: "pools.gpu.timeoutMs", before: 10_000, after: 5_000 }],
    });
    await setRoute("gpu");
    expect((await get("/v1/pools")).json).toMatchObject([{ name: "gpu", models: ["m"], ...GPU }]);
    await ask("DELETE", "/v1/models/m/origin", { headers: ANY });
    const removed = await ask("DELETE", "/v1/pools/gpu", { headers: ANY });
    expect(removed.json).toMatchObject({ changes: [{ field: "pools.gpu" }] });
    expect((await get("/v1/pools/gpu")).json).toMatchObject({ code: "origin_pool_not_found" });
  });

  it("reach the edge and the audit log", async () => {
    await setPool("gpu");
    expect(await env.CATALOG.get(CATALOG_KV_KEY, "json")).toMatchObject({ pools: { gpu: GPU } });
    expect(told.at(-1)).toMatchObject({
      action: "pool.put",
      target: "pools/gpu",
      models: [],
      before: null,
      after: GPU,
    });
  });

  it.each<[string, string, object, object]>([
    ["a name that is none", "GPU", GPU, { status: 400, field: "pool" }],
    ["no endpoints", "gpu", { ...GPU, endpoints: [] }, { status: 400, field: "endpoints" }],
    ["another protocol", "gpu", { ...GPU, protocol: "grpc" }, { status: 400, field: "protocol" }],
    ["a private address", "gpu", poolAt("http://127.0.0.1:8000"), { status: 400 }],
    [
      "a secret",
      "gpu",
      { ...GPU, endpoints: [{ url: "https://a.example", headers: { authorization: "Bearer x" } }] },
      { status: 400 },
    ],
    ["an unknown field", "gpu", { ...GPU, colour: 1 }, { status: 400, field: "colour" }],
  ])("refuse %s", async (_, name, body, problem) => {
    expect((await setPool(name, body)).json).toMatchObject(problem);
    expect((await get("/v1/pools")).json).toEqual([]);
  });

  it("stay while a model goes there", async () => {
    await setPool("gpu");
    await setRoute("gpu");
    const { json } = await ask("DELETE", "/v1/pools/gpu", { headers: ANY });
    expect(json).toMatchObject({ code: "invalid_change", field: "models.m.origin.pool" });
  });

  it("can be tried", async () => {
    const tried = await ask("PUT", "/v1/pools/gpu?dry-run=true", { body: GPU, headers: CREATE });
    expect(tried.json).toMatchObject({ dryRun: true, changes: [{ field: "pools.gpu" }] });
    expect((await get("/v1/pools")).json).toEqual([]);
  });
});

describe("routes", () => {
  it("are set, shown and removed", async () => {
    await setPool("gpu");
    expect((await get("/v1/models/m/origin")).json).toMatchObject({
      code: "origin_route_not_found",
    });
    expect((await setRoute("gpu")).json).toMatchObject({
      changes: [{ field: "models.m.origin", after: { pool: "gpu" } }],
    });
    expect((await get("/v1/models/m/origin")).json).toMatchObject({ pool: "gpu" });
    expect(told.at(-1)).toMatchObject({
      action: "origin.put",
      target: "models/m/origin",
      models: ["m"],
    });
    const removed = await ask("DELETE", "/v1/models/m/origin", { headers: ANY });
    expect(removed.json).toMatchObject({ changes: [{ field: "models.m.origin" }] });
  });

  it("need their pool, and their model", async () => {
    expect((await setRoute("gone")).json).toMatchObject({
      code: "invalid_change",
      field: "models.m.origin.pool",
    });
    const { json } = await ask("PUT", "/v1/models/none/origin", {
      body: { pool: "gpu" },
      headers: CREATE,
    });
    expect(json).toMatchObject({ code: "model_not_found" });
  });

  it("survive a move of a label, and come back with a rollback", async () => {
    await setPool("gpu");
    const { json: set } = await setRoute("gpu");
    await ask("PUT", "/v1/models/m/labels/canary", { body: { version: 1 }, headers: CREATE });
    expect((await get("/v1/models/m/origin")).status).toBe(200);
    await ask("DELETE", "/v1/models/m/origin", { headers: ANY });
    await ask("DELETE", "/v1/pools/gpu", { headers: ANY });
    await ask("POST", "/v1/catalog/rollback", {
      body: { to: (set as { catalog: number }).catalog },
      headers: ANY,
    });
    expect((await get("/v1/models/m/origin")).json).toMatchObject({ pool: "gpu" });
    expect((await get("/v1/pools/gpu")).json).toMatchObject(GPU);
  });
});
