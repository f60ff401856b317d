import {
  SELF,
  createExecutionContext,
  createScheduledController,
  waitOnExecutionContext,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";

import { EMPTY_CATALOG } from "../../../src/catalog/catalog.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import { HEALTH_KV_KEY } from "../../../src/origin/health-reader.ts";
import worker, { createIsolate } from "../../../workers/origin/index.ts";

describe("secrets of the origin Worker", () => {
  it.each([
    ["ORIGIN_SECRET_A", "hunter2"],
    ["ORIGIN_SECRET_EMPTY", undefined],
    ["ORIGIN_SECRET_OTHER", undefined],
    ["SIGNING_KEY", undefined],
    ["CATALOG", undefined],
  ])("%s is %s to a pool", (name, secret) => {
    const bindings = { ORIGIN_SECRET_A: "hunter2", ORIGIN_SECRET_EMPTY: "", SIGNING_KEY: "" };
    expect(createIsolate({ ...env, ...bindings }).secretOf(name)).toBe(secret);
  });
});

describe("the origin Worker", () => {
  it("says what is wrong as a problem, under the caller's request id", async () => {
    const response = await SELF.fetch("https://origin.invalid/elsewhere", {
      headers: { "nearside-request-id": "request-7" },
    });
    expect(response.status).toBe(404);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.json()).toMatchObject({
      code: "route_not_found",
      requestId: "request-7",
    });
  });

  it("can't forward while there is no catalog, tells what it knows only where it is meant to, and looks after endpoints", async () => {
    const infer = (pool: string) =>
      SELF.fetch(`https://origin.invalid/pools/${pool}/v2/models/m/infer`, {
        method: "POST",
        body: "{}",
      });
    const early = await infer("gpu");
    expect(await early.json()).toMatchObject({ code: "catalog_unavailable" });
    const pool = { protocol: "open-inference", endpoints: [{ url: "https://gpu.example.com" }] };
    const catalog = { ...EMPTY_CATALOG, pools: { gpu: pool } };
    await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
    const missing = await infer("other");
    expect(await missing.json()).toMatchObject({ code: "pool_not_found" });
    const asked = new Request<unknown, IncomingRequestCfProperties>("https://origin.invalid/pools");
    const none = createExecutionContext();
    expect((await worker.fetch(asked, env, none)).status).toBe(404);
    const report = await worker.fetch(asked, { ...env, REPORT_POOLS: "true" }, none);
    expect(await report.json()).toEqual({ pools: {} });
    await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(EMPTY_CATALOG));
    const execution = createExecutionContext();
    await worker.scheduled(createScheduledController(), env, execution);
    await waitOnExecutionContext(execution);
    // The isolate still has the pool, which has no signature to be asked with.
    expect(await env.CATALOG.get(HEALTH_KV_KEY, "json")).toMatchObject({
      gpu: { "https://gpu.example.com": { healthy: false } },
    });
  });
});
