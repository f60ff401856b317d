import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import wasm from "../../../.nearside/runtime/ort.wasm";
import identity from "../../../.nearside/runtime/runtime.json";
import type { Manifest, Member } from "../../../src/catalog/manifest.ts";
import { type HostContext, ModelHost } from "../../../src/runtime/host.ts";
import { type LoadedModel, ModelLoader } from "../../../src/runtime/load-model.ts";
import type { Tensor } from "../../../src/runtime/tensor.ts";
import { BlobStore } from "../../../src/store/blobs.ts";
import { blobCacheUrl, blobKey } from "../../../src/store/layout.ts";
import { edgeOf } from "../../support/edge.ts";
import { manifestOf } from "../../support/manifests.ts";
import { putCatalog } from "../../support/publish-graph.ts";
import { type CaseIndex, publishCase, readCases } from "../../support/stored-snapshots.ts";

const HEAP = 16_777_216;

let cases: CaseIndex;
/** Of a linear graph of two numbers, and of the outer product of a column with itself. */
let members: { readonly linear: Member; readonly outer: Member };
let ensemble: Manifest;

async function memberOf(name: string): Promise<Member> {
  const stored = cases[name];
  if (stored === undefined) throw new Error(`There is no case "${name}".`);
  const { graph, weights, snapshot, inputs, outputs, memory } = await publishCase(
    env.MODELS,
    stored,
  );
  if (graph === undefined) throw new Error("A case is one graph.");
  return {
    graph,
    ...(weights && { weights }),
    ...(snapshot && { snapshot }),
    inputs,
    outputs,
    heapBytes: memory.heapBytes,
  };
}

beforeAll(async () => {
  cases = await readCases();
  members = { linear: await memberOf("linear"), outer: await memberOf("outer") };
  ensemble = ensembleOf(members);
});

function ensembleOf(parts: Record<string, Member>): Manifest {
  const heapBytes = Object.values(parts).reduce((sum, one) => sum + one.heapBytes, 0);
  return manifestOf({ name: "pair", members: parts, memory: { heapBytes, taskBytes: 0 } });
}

function hostOf(budgetBytes = 8 * HEAP) {
  const faults: string[] = [];
  const loader = new ModelLoader({
    runtime: { wasm, digest: identity.digest, startup: identity.startup },
    blobs: new BlobStore(env.MODELS),
    prepare: () => "the resources",
    onFallback: ({ name }, fault) => faults.push(`${name}: ${fault}`),
  });
  const host = new ModelHost<LoadedModel>({
    budgetBytes,
    load: (manifest, context) => loader.load(manifest, context),
  });
  const context: HostContext = { now: () => performance.now(), waitUntil: () => {} };
  const use = <T>(manifest: Manifest, with_: (model: LoadedModel, start: string) => T) =>
    host.use(manifest, context, with_);
  return { host, loader, faults, use };
}

const numbers = (...data: number[]): Tensor => ({
  datatype: "FP32",
  shape: [1, data.length],
  data: Float32Array.from(data),
});

const column = (length: number): Tensor => ({
  datatype: "FP32",
  shape: [length, 1],
  data: new Float32Array(length).fill(2),
});

const runBoth = (model: LoadedModel) => [
  model.member("linear").run({ x: numbers(1, 2) }),
  model.member("outer").run({ x: column(2) }),
];

describe("an ensemble", () => {
  it("restores every member into an instance of its own, and holds the sum of their memory", async () => {
    const { host, loader, use } = hostOf();
    await use(ensemble, (model, start) => {
      expect(start).toBe("restored");
      expect(model.heapBytes).toBe(2 * HEAP);
      expect(model.resources).toBe("the resources");
      expect(model.member("linear")).not.toBe(model.member("outer"));
      runBoth(model);
    });
    expect(host.stats()).toMatchObject({ heldBytes: 2 * HEAP, loads: 1 });
    expect(loader.stats).toEqual({ restored: 1, loaded: 0, fallbacks: {} });
    expect(await use(ensemble, (_model, start) => start)).toBe("warm");
  });

  it("answers the same when one member, or each, is loaded from its graph", async () => {
    const { snapshot: _, ...plain } = members.linear;
    const { snapshot: __, ...alsoPlain } = members.outer;
    const answers: unknown[] = [];
    for (const parts of [
      members,
      { ...members, linear: plain },
      { linear: plain, outer: alsoPlain },
    ]) {
      const { use } = hostOf();
      const { start, outputs } = await use(ensembleOf(parts), (model, how) => ({
        start: how,
        outputs: runBoth(model),
      }));
      expect(start).toBe(parts === members ? "restored" : "loaded");
      answers.push(outputs);
    }
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  it("falls back for the one member whose snapshot is another runtime's", async () => {
    const { snapshot } = members.outer;
    if (snapshot === undefined) throw new Error("The case has a snapshot.");
    const outer = { ...members.outer, snapshot: { ...snapshot, runtime: "0".repeat(64) } };
    const { loader, faults, use } = hostOf();
    expect(await use(ensembleOf({ ...members, outer }), (_model, start) => start)).toBe("loaded");
    expect(faults).toEqual(["pair_outer: wrong_runtime"]);
    expect(loader.stats).toEqual({ restored: 0, loaded: 1, fallbacks: { wrong_runtime: 1 } });
  });

  it("is not loaded at all when a member's graph is gone and its snapshot is of no use", async () => {
    const digest = "7".repeat(64);
    const { snapshot: _, ...plain } = members.outer;
    const outer = { ...plain, graph: { digest, bytes: 10 } };
    await env.MODELS.delete(blobKey(digest));
    await caches.default.delete(blobCacheUrl(digest));
    const { host, use } = hostOf();
    await expect(use(ensembleOf({ ...members, outer }), () => {})).rejects.toMatchObject({
      code: "model_damaged",
    });
    expect(host.stats()).toMatchObject({ heldBytes: 0, failures: 1 });
  });

  it("grows within the budget of all its members together", async () => {
    const roomy = hostOf();
    await roomy.use(ensemble, (model) => {
      model.member("outer").run({ x: column(2_500) });
      expect(model.heapBytes).toBeGreaterThan(3 * HEAP);
      expect(roomy.host.stats().heldBytes).toBe(model.heapBytes);
    });
    const tight = hostOf(2.5 * HEAP);
    await tight.use(ensemble, (model) => {
      expect(() => model.member("outer").run({ x: column(2_500) })).toThrow(
        expect.objectContaining({ code: "out_of_memory" }),
      );
    });
  });

  it("drops every instance when one has trapped", async () => {
    const { host, use } = hostOf();
    const trapped = await use(ensemble, (model) => {
      Object.defineProperty(model.member("linear"), "trap", { value: new Error("unreachable") });
      return model;
    });
    expect(trapped.trap).toBeInstanceOf(Error);
    expect(host.stats()).toMatchObject({ heldBytes: 0, traps: 1, models: [] });
    await use(ensemble, (model, start) => {
      expect(start).toBe("restored");
      expect(model.member("outer")).not.toBe(trapped.member("outer"));
    });
  });

  it("needs room for the sum before anything is fetched", async () => {
    const { use, host } = hostOf(1.5 * HEAP);
    await expect(use(ensemble, () => {})).rejects.toMatchObject({ code: "model_too_large" });
    expect(host.stats().loads).toBe(0);
  });

  it("has no one graph, and no member of another name", async () => {
    const { use } = hostOf();
    await use(ensemble, (model) => {
      expect(() => model.member("third")).toThrow('"pair" has no graph "third".');
      expect(() => model.run({})).toThrow('"pair" has no graph ""');
      expect(() => model.session).toThrow('"pair" has no graph ""');
    });
  });
});

describe("an ensemble, by the Open Inference Protocol", () => {
  it("is described as one, shows no member, and takes no tensors", async () => {
    await putCatalog(env.CATALOG, [ensemble]);
    const { send, infer } = edgeOf();
    expect(await (await send("/v2/models/pair")).json()).toEqual({
      name: "pair",
      versions: ["1"],
      platform: "ensemble",
      inputs: [],
      outputs: [],
    });
    const refused = await infer("pair", [
      { name: "x", datatype: "FP32", shape: [1, 2], data: [1, 2] },
    ]);
    expect([refused.status, await refused.json()]).toEqual([
      400,
      expect.objectContaining({
        code: "invalid_request",
        detail: expect.stringContaining("is an ensemble, and takes no tensors"),
      }),
    ]);
    expect((await send("/v2/models/pair_linear")).status).toBe(404);
  });
});
