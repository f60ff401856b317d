import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import { edgeOf } from "../../support/edge.ts";
import { gatherGraph, identityGraph, linearGraph } from "../../support/graphs.ts";
import { publishGraph, putCatalog } from "../../support/publish-graph.ts";
import { blobKey } from "../../../src/store/layout.ts";

const HEAP = 16_777_216;

const x = (...data: number[]) => [{ name: "x", datatype: "FP32", shape: [1, data.length], data }];

beforeAll(async () => {
  const manifests = [
    await publishGraph(env.MODELS, "linear", linearGraph(2, 2)),
    await publishGraph(env.MODELS, "gather", gatherGraph(4)),
    await publishGraph(env.MODELS, "huge", linearGraph(2, 3), {
      memory: { heapBytes: 200e6, taskBytes: 0 },
    }),
    await publishGraph(env.MODELS, "damaged", linearGraph(3, 3)),
    await publishGraph(env.MODELS, "liar", linearGraph(4, 4), {
      inputs: [{ name: "other", datatype: "FP32", shape: [-1, 4] }],
    }),
  ];
  for (const datatype of ["INT64", "UINT64", "BYTES", "BOOL", "FP16", "INT8", "FP64"] as const) {
    manifests.push(
      await publishGraph(env.MODELS, `echo-${datatype.toLowerCase()}`, identityGraph(datatype, 2)),
    );
  }
  for (let index = 0; index < 5; index++) {
    manifests.push(await publishGraph(env.MODELS, `five${index}`, linearGraph(2, 4 + index)));
  }
  const damaged = manifests.find(({ name }) => name === "damaged");
  await env.MODELS.put(blobKey(damaged?.graph?.digest ?? ""), "not what the digest says");
  await putCatalog(env.CATALOG, manifests);
});

describe("the edge", () => {
  it("makes no call on any binding for a warm request", async () => {
    const { calls, infer } = edgeOf();
    expect((await infer("linear", x(1, 2))).headers.get("nearside-start")).toBe("loaded");
    expect(calls).toEqual(["CATALOG.get", "MODELS.get"]);
    calls.length = 0;
    const warm = await infer("linear", x(1, 2));
    expect(warm.headers.get("nearside-start")).toBe("warm");
    expect(calls).toEqual([]);
  });

  it("loads a model once for twenty simultaneous first requests", async () => {
    const { calls, infer, isolate } = edgeOf();
    const responses = await Promise.all(
      Array.from({ length: 20 }, () =>
        infer("gather", [{ name: "index", datatype: "INT64", shape: [1], data: [2] }]),
      ),
    );
    for (const response of responses) {
      expect(await response.json()).toMatchObject({ outputs: [{ data: [4, 5] }] });
    }
    expect(isolate.host.stats().loads).toBe(1);
    expect(calls.filter((call) => call === "MODELS.get").length).toBe(1);
  });

  it("keeps five models under a budget for two, with exact accounts", async () => {
    const { infer, isolate } = edgeOf({ MODEL_BUDGET_BYTES: String(2.5 * HEAP) });
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 5; index++) {
        expect((await infer(`five${index}`, x(1, 1))).status).toBe(200);
        const { heldBytes, models } = isolate.host.stats();
        expect(models.length).toBeLessThanOrEqual(2);
        expect(heldBytes).toBe(models.length * HEAP);
      }
    }
    expect(isolate.host.stats()).toMatchObject({ loads: 15, evictions: 13 });
  });

  it("answers many models at once under a small budget: nobody fails, nobody hangs", async () => {
    const { infer, isolate } = edgeOf({ MODEL_BUDGET_BYTES: String(2.5 * HEAP) });
    const responses = await Promise.all(
      Array.from({ length: 30 }, (_, index) => infer(`five${index % 5}`, x(1, 1))),
    );
    expect(responses.map(({ status }) => status)).toEqual(Array(30).fill(200));
    expect(isolate.host.stats().heldBytes).toBeLessThanOrEqual(2.5 * HEAP);
    // Each waits its turn: models that evict each other before they are used would load for ever.
    expect(isolate.host.stats().loads).toBeLessThanOrEqual(10);
  });

  it("refuses a model that can never fit before its bytes are fetched", async () => {
    const { calls, infer } = edgeOf();
    const response = await infer("huge", x(1, 2));
    expect([response.status, (await response.json<{ code: string }>()).code]).toEqual([
      507,
      "model_too_large",
    ]);
    expect(calls).toEqual(["CATALOG.get"]);
  });

  it("answers a damaged blob with a code, repairs nothing it can't, and serves the others", async () => {
    const { calls, infer } = edgeOf();
    const response = await infer("damaged", x(1, 2, 3));
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      code: "model_damaged",
      error: expect.any(String),
    });
    expect(calls.filter((call) => call === "MODELS.get").length).toBe(2);
    const again = await infer("damaged", x(1, 2, 3));
    expect(again.headers.get("retry-after")).toBe("1");
    expect((await infer("linear", x(1, 2))).status).toBe(200);
  });

  it("does not serve a graph that differs from its manifest", async () => {
    const { infer } = edgeOf();
    const response = await infer("liar", [
      { name: "other", datatype: "FP32", shape: [1, 4], data: [1, 2, 3, 4] },
    ]);
    expect(await response.json()).toMatchObject({ status: 503, code: "model_load_failed" });
  });

  it("keeps serving the last good catalog when KV fails or holds nonsense", async () => {
    let answer: () => Promise<string | null> = () => env.CATALOG.get("catalog");
    const { infer, isolate } = edgeOf({
      CATALOG: { get: () => answer() } as unknown as KVNamespace,
    });
    expect((await infer("linear", x(1, 2))).status).toBe(200);
    for (const broken of [
      () => Promise.reject(new Error("down")),
      () => Promise.resolve("{"),
      () => Promise.resolve(null),
    ]) {
      answer = broken;
      const failures = isolate.catalog.stats().failures;
      let now = Date.now() + 3_600_000 * (failures + 1);
      await isolate.catalog.get({ now: () => now++, waitUntil: () => {} });
      expect(isolate.catalog.stats().failures).toBe(failures + 1);
      expect((await infer("linear", x(1, 2))).status).toBe(200);
    }
  });

  it("says catalog_unavailable when there never was one", async () => {
    const { send } = edgeOf({
      CATALOG: { get: () => Promise.resolve(null) } as unknown as KVNamespace,
    });
    const response = await send("/v2/health/ready");
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "catalog_unavailable" });
    expect((await send("/v2/health/live")).status).toBe(200);
  });

  it.each([
    ["int64", "INT64", [-5, 9007199254740993n, -9223372036854775808n]],
    ["uint64", "UINT64", [0, 18446744073709551615n, 7]],
    ["bytes", "BYTES", ["", "日本語", "a\nb"]],
    ["bool", "BOOL", [true, false, true]],
    ["fp16", "FP16", [0.5, -65504, 0.0999755859375]],
    ["int8", "INT8", [-128, 127, 0]],
    ["fp64", "FP64", [0.1, -1e300, 0]],
  ])("carries %s through JSON exactly", async (name, datatype, values) => {
    const { send } = edgeOf();
    const digits = `[${values.map((value) => (typeof value === "bigint" ? String(value) : JSON.stringify(value))).join(",")}]`;
    for (const data of [digits, `[${digits}]`]) {
      const response = await send(`/v2/models/echo-${name}/infer`, {
        method: "POST",
        body: `{"id":"7","inputs":[{"name":"x","datatype":"${datatype}","shape":[1,3],"data":${data}}]}`,
        headers: { "content-type": "application/json" },
      });
      expect(await response.text()).toBe(
        `{"model_name":"echo-${name}","model_version":"1","id":"7","outputs":[{"name":"y","datatype":"${datatype}","shape":[1,3],"data":${digits}}]}`,
      );
    }
  });
});
