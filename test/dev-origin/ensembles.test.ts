import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Manifest, Member } from "../../src/catalog/manifest.ts";
import { graphOf } from "../../src/catalog/members.ts";
import type { OriginCaller } from "../../src/origin/call-origin.ts";
import { RemoteSession } from "../../src/origin/remote-session.ts";
import { runThere } from "../../src/tasks/drive.ts";
import type { TensorRun } from "../../src/tasks/task.ts";
import { openOrigin, Shop } from "./support.ts";

const shop = new Shop();
let origin: Awaited<ReturnType<typeof openOrigin>>;
let pair: Manifest;

const x = (...data: number[]) =>
  ({ datatype: "FP32", shape: [1, 2], data: Float32Array.from(data) }) as const;

async function memberOf(factor: number): Promise<Member> {
  const published = await shop.publishScale(`times-${factor}`, 1, factor);
  const { inputs, outputs } = published;
  return { graph: graphOf(published), inputs, outputs, heapBytes: 0 };
}

beforeAll(async () => {
  const members = { first: await memberOf(2), second: await memberOf(3) };
  pair = await shop.publish({ name: "pair", members });
  origin = await openOrigin(shop);
});
afterAll(() => origin?.stop());

/** A caller whose origin Worker passes everything on to the development origin. */
function caller(route: Partial<OriginCaller["route"]> = {}): OriginCaller & { paths: string[] } {
  const paths: string[] = [];
  return {
    paths,
    origin: {
      fetch(url, init) {
        const path = new URL(url).pathname.replace("/pools/gpu", "");
        paths.push(path);
        return fetch(origin.url + path, init);
      },
    },
    route: {
      pool: "gpu",
      limits: { maxBatch: 8, maxBodyBytes: 1_000_000 },
      ...route,
    },
    requestId: "request",
    deadline: Date.now() + 30_000,
    idleMs: 30_000,
    signal: new AbortController().signal,
    now: () => Date.now(),
  };
}

function* twoSteps(): TensorRun<readonly number[]> {
  const first = yield { member: "first", feeds: { x: x(1, 2) } };
  const y = first["y"];
  if (y === undefined) throw new Error("There is no y.");
  const second = yield { member: "second", feeds: { x: y } };
  return Array.from(second["y"]?.data ?? [], Number);
}

describe("an ensemble in the origin pool", () => {
  it("is asked for as a model for each member", async () => {
    const asked = caller();
    expect(await runThere(twoSteps(), new RemoteSession(asked, pair))).toEqual([6, 12]);
    expect(asked.paths).toEqual(["/v2/models/pair_first/infer", "/v2/models/pair_second/infer"]);
  });

  it("is called as the route says, with its version", async () => {
    const asked = caller({ model: "other", versioned: true });
    const session = new RemoteSession(asked, pair).member("second");
    await expect(session.run({ x: x(1, 2) })).rejects.toMatchObject({ name: "NearsideError" });
    expect(asked.paths).toEqual(["/v2/models/other_second/versions/1/infer"]);
    expect(() => new RemoteSession(asked, pair).member("third")).toThrow('has no graph "third"');
  });

  it("shows its members as models, and has no tensors of its own", async () => {
    const member = await origin.ask("/v2/models/pair_first");
    expect(member.json).toMatchObject({
      name: "pair_first",
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
    });
    expect((await origin.ask("/v2/models/pair_third")).status).toBe(404);
    expect((await origin.ask("/v2/models/pair")).json).toMatchObject({ platform: "ensemble" });
    const whole = await origin.ask("/v2/models/pair/infer", { inputs: [] });
    expect([whole.status, whole.json]).toEqual([
      400,
      expect.objectContaining({ error: expect.stringContaining("pair_first, pair_second") }),
    ]);
  });

  it("loads and unloads its members together, or one alone", async () => {
    const ready = async (name: string) => (await origin.ask(`/v2/models/${name}/ready`)).status;
    const repository = (name: string, verb: string) =>
      origin.ask(`/v2/repository/models/${name}/${verb}`, {});
    await repository("pair", "unload");
    expect([await ready("pair_first"), await ready("pair_second")]).toEqual([503, 503]);
    expect((await repository("pair_first", "load")).status).toBe(200);
    expect([await ready("pair_first"), await ready("pair_second")]).toEqual([200, 503]);
    expect((await repository("pair", "load")).status).toBe(200);
    const index = (await origin.ask("/v2/repository/index", { ready: true })).json;
    expect(index).toContainEqual({ name: "pair_first", version: "1", state: "READY" });
    expect(index).toContainEqual({ name: "pair_second", version: "1", state: "READY" });
  });
});
