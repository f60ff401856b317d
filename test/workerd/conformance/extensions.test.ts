import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { accountKey } from "../../../src/accounts/account.ts";
import { issueKey, keyRecordKey } from "../../../src/accounts/key-record.ts";
import type { Manifest } from "../../../src/catalog/manifest.ts";
import type { StatisticsService } from "../../../src/telemetry/statistics.ts";
import { acme } from "../../accounts/support.ts";
import { edgeOf } from "../../support/edge.ts";
import { identityGraph, linearGraph } from "../../support/graphs.ts";
import { manifestOf } from "../../support/manifests.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { putVersions } from "../protocol/models.ts";

const TOKEN = "the-operators-secret";

const pair = [{ name: "x", datatype: "FP32", shape: [1, 2], data: [1, 2] }];

const counted: StatisticsService = {
  counts: async (models) => {
    const known = {
      linear: [
        {
          version: 2,
          first: 1_700_000_000_000,
          last: 1_800_000_000_000,
          success: { count: 3, ns: 4_500_000 },
          fail: { count: 1, ns: 200_000 },
        },
      ],
    };
    return Object.fromEntries(models.map((name) => [name, name === "linear" ? known.linear : []]));
  },
};

const edge = edgeOf({ STATISTICS: counted, ADMIN_TOKEN: TOKEN });
const asOperator = { authorization: `Bearer ${TOKEN}` };

const json = async (path: string, of = edge): Promise<Record<string, unknown>> =>
  (await of.send(path)).json();

const post = (path: string, body?: unknown, of = edge, headers: Record<string, string> = {}) =>
  of.send(path, {
    method: "POST",
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });

/** A key of `acme`, and the namespace that knows both. */
async function keyFor(more: Pick<Parameters<typeof issueKey>[0], "scopes" | "models">) {
  const options = { account: acme.id, name: "a", kind: "live", ...more } as const;
  const { key, hash, record } = await issueKey(options, Date.now());
  const values = new Map<string, unknown>([
    [keyRecordKey(hash), record],
    [accountKey(acme.id), acme],
  ]);
  const get = async (name: string) => (values.has(name) ? JSON.stringify(values.get(name)) : null);
  return { headers: { authorization: `Bearer ${key}` }, KEYS: { get } as unknown as KVNamespace };
}

const codeOf = async (answering: Promise<Response>): Promise<unknown[]> => {
  const response = await answering;
  const { code, error } = await response.json<{ code: string; error: string }>();
  expect(error).toBeTypeOf("string");
  return [response.status, code];
};

let linear: Manifest;

beforeAll(async () => {
  linear = await publishGraph(env.MODELS, "linear", linearGraph(2, 2));
  const member = { graph: { digest: "0".repeat(64), bytes: 0 }, inputs: [], outputs: [] };
  await putVersions(
    env.CATALOG,
    [
      linear,
      await publishGraph(env.MODELS, "linear", linearGraph(2, 3), { version: 2 }),
      await publishGraph(env.MODELS, "echo", identityGraph("BYTES", 3), {
        limits: { maxBatch: 7, maxBodyBytes: 1_000_000 },
      }),
      await publishGraph(env.MODELS, "large", linearGraph(2, 2), {
        memory: { heapBytes: 1_000_000_000, taskBytes: 0 },
      }),
      manifestOf({ name: "far", edge: false }),
      manifestOf({
        name: "pages",
        members: {
          detector: { ...member, heapBytes: 1_000 },
          recogniser: { ...member, heapBytes: 1_000 },
        },
      }),
    ],
    { linear: { canary: 2 } },
  );
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("the server", () => {
  it("extensions: names what is offered, by Triton's names", async () => {
    expect((await json("/v2"))["extensions"]).toEqual([
      "binary_tensor_data",
      "classification",
      "model_configuration",
      "model_repository",
      "model_repository(unload_dependents)",
      "statistics",
    ]);
    expect((await json("/v2", edgeOf()))["extensions"]).not.toContain("statistics");
  });
});

describe("model configuration", () => {
  it("config: tells the platform, the versions and the instances", async () => {
    expect(await json("/v2/models/linear/config")).toMatchObject({
      name: "linear",
      platform: "onnxruntime_onnx",
      backend: "onnxruntime",
      version_policy: { specific: { versions: [1, 2] } },
      instance_group: [{ kind: "KIND_CPU", count: 1 }],
    });
    expect(await json("/v2/models/far/config")).toMatchObject({ instance_group: [] });
    expect(await codeOf(edge.send("/v2/models/nothing/config"))).toEqual([404, "model_not_found"]);
  });

  it("config-batch: leaves the batch's axis out of the dimensions", async () => {
    expect(await json("/v2/models/echo/config")).toMatchObject({
      max_batch_size: 7,
      input: [{ name: "x", data_type: "TYPE_STRING", dims: [-1, -1] }],
      output: [{ name: "y", data_type: "TYPE_STRING", dims: [-1, -1] }],
    });
  });

  it("config-unbatched: keeps every axis when one tensor has no batch", async () => {
    const { max_batch_size, input, output } = await json("/v2/models/linear/versions/2/config");
    expect(max_batch_size).toBe(0);
    expect(input).toEqual([{ name: "x", data_type: "TYPE_FP32", dims: [-1, 2] }]);
    expect(output).toEqual([
      { name: "y", data_type: "TYPE_FP32", dims: [-1, 3] },
      { name: "sum", data_type: "TYPE_FP32", dims: [1], reshape: { shape: [] } },
    ]);
  });

  it("config-ensemble: lists the members of an ensemble as its steps", async () => {
    expect(await json("/v2/models/pages/config")).toEqual({
      name: "pages",
      platform: "ensemble",
      version_policy: { specific: { versions: [1] } },
      ensemble_scheduling: {
        step: [
          { model_name: "detector", model_version: 1 },
          { model_name: "recogniser", model_version: 1 },
        ],
      },
    });
  });
});

describe("statistics", () => {
  const none = { count: 0, ns: 0 };

  it("statistics: tells counts and durations of a version in Triton's form", async () => {
    const success = { count: 3, ns: 4_500_000 };
    const { model_stats } = await json("/v2/models/linear/versions/2/stats");
    expect(model_stats).toEqual([
      {
        name: "linear",
        version: "2",
        last_inference: 1_800_000_000_000,
        inference_count: 3,
        execution_count: 3,
        inference_stats: {
          success,
          fail: { count: 1, ns: 200_000 },
          queue: none,
          compute_input: none,
          compute_infer: success,
          compute_output: none,
          cache_hit: none,
          cache_miss: none,
        },
        batch_stats: [],
      },
    ]);
    expect(await json("/v2/models/linear/versions/canary/stats")).toMatchObject({
      model_stats: [{ version: "2" }],
    });
  });

  it("statistics-models: tells them of all versions of a model, and of all models", async () => {
    expect(await json("/v2/models/linear/stats")).toMatchObject({
      model_stats: [
        { name: "linear", version: "1", inference_count: 0, last_inference: 0 },
        { name: "linear", version: "2", inference_count: 3 },
      ],
    });
    const { model_stats } = await json("/v2/models/stats");
    const names = (model_stats as { name: string }[]).map(({ name }) => name);
    expect(names).toEqual(["linear", "linear", "echo", "large", "far", "pages"]);
    expect(await codeOf(edge.send("/v2/models/nothing/stats"))).toEqual([404, "model_not_found"]);
  });

  it("statistics-scope: says whose they are, and of what time", async () => {
    const { nearside } = await json("/v2/models/linear/stats");
    expect(nearside).toEqual({
      scope: "all isolates",
      as_of: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      since: "2023-11-14T22:13:20.000Z",
    });
    expect(await json("/v2/models/echo/stats")).toMatchObject({ nearside: { since: null } });
  });

  it("statistics-error: fails with a reason when they can't be read", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const broken = edgeOf({ STATISTICS: { counts: () => Promise.reject(new Error("away")) } });
    for (const of of [broken, edgeOf()]) {
      expect(await codeOf(of.send("/v2/models/linear/stats"))).toEqual([
        503,
        "statistics_unavailable",
      ]);
    }
  });

  it("statistics-key: shows a key its own models only", async () => {
    const { headers, KEYS } = await keyFor({ scopes: ["models"], models: ["echo"] });
    const refused = edgeOf({ KEYS, STATISTICS: counted, ANONYMOUS: "refused" });
    const response = await refused.send("/v2/models/stats", { headers });
    expect(await response.json()).toMatchObject({ model_stats: [{ name: "echo" }] });
    const other = refused.send("/v2/models/linear/stats", { headers });
    expect(await codeOf(other)).toEqual([403, "model_not_allowed"]);
    expect(await codeOf(refused.send("/v2/models/stats"))).toEqual([401, "key_missing"]);
    const index = await post("/v2/repository/index", undefined, refused, headers);
    expect(await index.json()).toMatchObject([{ name: "echo", state: "READY" }]);
  });
});

describe("model repository", () => {
  it("index: tells the state of every version, and why it is not ready", async () => {
    const response = await post("/v2/repository/index", {}, edgeOf());
    expect(await response.json()).toEqual([
      { name: "linear", version: "1", state: "READY", reason: "", nearside: absent },
      { name: "linear", version: "2", state: "READY", reason: "", nearside: absent },
      { name: "echo", version: "1", state: "READY", reason: "", nearside: absent },
      unavailable("large", /does not fit/),
      unavailable("far", /origin pool/),
      unavailable("pages", /use \/v1\/predict\/pages/),
    ]);
  });

  it("model-ready-not: answers 503 for whatever takes no tensors", async () => {
    for (const model of ["large", "far", "pages"]) {
      const answering = edgeOf().send(`/v2/models/${model}/ready`);
      expect(await codeOf(answering)).toEqual([503, "model_unavailable"]);
    }
  });

  it("index-ready: leaves out what is not ready when it is told to", async () => {
    const index = await (await post("/v2/repository/index", { ready: true })).json<object[]>();
    expect(index).toHaveLength(3);
    const everything = await (await post("/v2/repository/index")).json<object[]>();
    expect(everything).toHaveLength(6);
    for (const body of [{ ready: "yes" }, [], 1]) {
      expect(await codeOf(post("/v2/repository/index", body))).toEqual([400, "invalid_request"]);
    }
  });

  it("load: warms this isolate's copy and says so", async () => {
    const own = edgeOf({ ADMIN_TOKEN: TOKEN, ANONYMOUS: "refused" });
    const load = () =>
      post("/v2/repository/models/linear/load", { parameters: {} }, own, asOperator);
    const bytes = expect.any(Number) as number;
    const loaded = await (await load()).json<{ bytes: number; held_bytes: number }>();
    expect(loaded).toEqual({
      scope: "this isolate",
      name: "linear",
      version: "1",
      start: "loaded",
      bytes,
      held_bytes: loaded.bytes,
      budget_bytes: 100_663_296,
    });
    expect(await (await load()).json()).toMatchObject({ start: "warm" });
    const index = await post("/v2/repository/index", {}, own, asOperator);
    expect(await index.json()).toMatchObject([
      { version: "1", nearside: { scope: "this isolate", held: true, bytes: loaded.bytes } },
      { version: "2", nearside: absent },
      {},
      {},
      {},
      {},
    ]);
  });

  it("load-parameters: refuses another configuration or other files", async () => {
    for (const parameter of ["config", "file:1/model.onnx"]) {
      const body = { parameters: { [parameter]: "{}" } };
      const answering = post("/v2/repository/models/linear/load", body);
      expect(await codeOf(answering)).toEqual([400, "invalid_request"]);
    }
  });

  it("load-fails: fails for what can't be loaded", async () => {
    for (const [model, ...expected] of [
      ["nothing", 404, "model_not_found"],
      ["large", 507, "model_too_large"],
      ["far", 422, "no_edge_build"],
    ] as const) {
      const answering = post(`/v2/repository/models/${model}/load`);
      expect(await codeOf(answering)).toEqual(expected);
    }
  });

  it("unload: drops every version that this isolate holds, and says what", async () => {
    const own = edgeOf();
    await own.infer("linear", pair);
    await own.post("/v2/models/linear/versions/2/infer", { inputs: pair });
    const unload = () => post("/v2/repository/models/linear/unload", undefined, own);
    expect(await (await unload()).json()).toMatchObject({
      scope: "this isolate",
      name: "linear",
      unloaded: [{ version: "1" }, { version: "2" }],
      held_bytes: 0,
    });
    expect(await (await unload()).json()).toMatchObject({ unloaded: [] });
    const again = await own.infer("linear", pair);
    expect(again.headers.get("nearside-start")).toBe("loaded");
    const unknown = post("/v2/repository/models/nothing/unload", undefined, own);
    expect(await codeOf(unknown)).toEqual([404, "model_not_found"]);
  });

  it("unload-dependents: takes the parameter, and no other", async () => {
    const unload = (parameters: object) =>
      post("/v2/repository/models/linear/unload", { parameters });
    for (const given of [true, false]) {
      expect((await unload({ unload_dependents: given })).status).toBe(200);
    }
    for (const parameters of [{ unload_dependents: 1 }, { now: true }]) {
      expect(await codeOf(unload(parameters))).toEqual([400, "invalid_request"]);
    }
  });

  it("unload-busy: drops nothing that answers somebody", async () => {
    const own = edgeOf();
    await own.infer("linear", pair);
    const busy = Promise.withResolvers<void>();
    const using = own.isolate.host.use(
      linear,
      { now: () => Date.now(), waitUntil: () => {} },
      () => busy.promise,
    );
    const unload = () => post("/v2/repository/models/linear/unload", undefined, own);
    expect(await codeOf(unload())).toEqual([409, "model_in_use"]);
    expect(own.isolate.host.isLoaded(linear)).toBe(true);
    busy.resolve();
    await using;
    expect((await unload()).status).toBe(200);
  });

  it("repository-operator: lets nobody else load and unload where callers need a key", async () => {
    const key = await keyFor({ scopes: ["models", "predict", "override"] });
    const refused = edgeOf({ KEYS: key.KEYS, ADMIN_TOKEN: TOKEN, ANONYMOUS: "unpriced" });
    for (const verb of ["load", "unload"]) {
      for (const headers of [{}, key.headers]) {
        const answering = post(`/v2/repository/models/linear/${verb}`, {}, refused, headers);
        expect(await codeOf(answering)).toEqual([403, "operator_only"]);
      }
      const allowed = post(`/v2/repository/models/linear/${verb}`, {}, refused, asOperator);
      expect((await allowed).status).toBe(200);
    }
  });

  const absent = { scope: "this isolate", held: false, bytes: 0 };
  const unavailable = (name: string, reason: RegExp) => ({
    name,
    version: "1",
    state: "UNAVAILABLE",
    reason: expect.stringMatching(reason),
    nearside: absent,
  });
});

describe("what is not offered", () => {
  /** What each is answered that is not refused as it should be. */
  const notRefused = async (calls: readonly (readonly [string, string])[]): Promise<unknown[]> => {
    const answers = await Promise.all(
      calls.map(async ([method, path]) => [path, ...(await codeOf(edge.send(path, { method })))]),
    );
    return answers.filter(([, status, code]) => status !== 501 || code !== "extension_not_offered");
  };

  it("trace: refuses trace settings", async () => {
    const paths = ["/v2/trace/setting", "/v2/models/linear/trace/setting"];
    const calls = paths.flatMap((path) => [["GET", path] as const, ["POST", path] as const]);
    expect(await notRefused(calls)).toEqual([]);
  });

  it("logging: refuses log settings", async () => {
    const calls = [["GET", "/v2/logging"] as const, ["POST", "/v2/logging"] as const];
    expect(await notRefused(calls)).toEqual([]);
  });

  it("generate: refuses generate, with or without a stream", async () => {
    const calls = [
      ["POST", "/v2/models/linear/generate"],
      ["POST", "/v2/models/linear/versions/1/generate_stream"],
    ] as const;
    expect(await notRefused(calls)).toEqual([]);
  });

  it("shared-memory: refuses regions, and lists none", async () => {
    for (const path of ["/v2/systemsharedmemory", "/v2/cudasharedmemory"]) {
      const calls = [
        ["POST", `${path}/region/mine/register`],
        ["POST", `${path}/region/mine/unregister`],
        ["POST", `${path}/unregister`],
        ["GET", `${path}/region/mine/status`],
      ] as const;
      expect(await notRefused(calls)).toEqual([]);
      expect(await json(`${path}/status`)).toEqual([]);
    }
  });
});
