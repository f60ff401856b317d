import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";

import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import type { Catalog, Flag } from "../../../src/catalog/catalog.ts";
import { edgeOf } from "../../support/edge.ts";
import { linearGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";

const x = [{ name: "x", datatype: "FP32", shape: [1, 2], data: [1, 2] }];

const split: Flag = {
  state: "ENABLED",
  variants: { current: "stable", next: { version: 2 } },
  defaultVariant: "current",
  targeting: {
    fractional: [
      ["current", 50],
      ["next", 50],
    ],
  },
};

/** An edge whose model "m" has versions 1 (stable) and 2, and this flag. */
async function edgeWith(flag?: object, more: object = {}, bindings: object = {}) {
  const versions = {
    1: await publishGraph(env.MODELS, "m", linearGraph(2, 2)),
    2: await publishGraph(env.MODELS, "m", linearGraph(2, 3), { version: 2 }),
  };
  const catalog: Catalog = {
    schema: 1,
    number: 41,
    models: { m: { versions, labels: { stable: 1 }, ...more } },
    ...(flag && { flags: { flags: { m: flag as Flag } } }),
  };
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
  const edge = edgeOf(bindings);
  const ask = (headers: Record<string, string> = {}, version = ""): Promise<Response> =>
    edge.send(`/v2/models/m${version}/infer`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ inputs: x }),
    });
  return { ...edge, ask };
}

const routed = ({ headers }: Response) =>
  ["version", "catalog", "reason", "flag", "variant"].map((name) =>
    headers.get(`nearside-${name}`),
  );

describe("routing by flags, in workerd", () => {
  it("evaluates flagd's rules without dynamic code, and says what it chose and why", async () => {
    const { ask } = await edgeWith(split);
    const seen = new Map<string | null, string | null>();
    for (let user = 0; user < 40; user++) {
      const first = routed(await ask({ "nearside-user": `user-${user}` }));
      const again = routed(await ask({ "nearside-user": `user-${user}` }));
      expect(again).toEqual(first);
      const [version, catalog, reason, flag, variant] = first;
      expect([catalog, reason, flag]).toEqual(["41", "TARGETING_MATCH", "m"]);
      seen.set(variant ?? null, version ?? null);
    }
    expect(Object.fromEntries(seen)).toEqual({ current: "1", next: "2" });
  });

  it("gives a user the same variant on every isolate", async () => {
    const edges = [await edgeWith(split), await edgeWith(split)];
    for (let user = 0; user < 20; user++) {
      const [a, b] = await Promise.all(
        edges.map(async ({ ask }) => routed(await ask({ "nearside-user": `u${user}` }))),
      );
      expect(a).toEqual(b);
    }
  });

  it("splits callers that name no user request by request", async () => {
    const { ask } = await edgeWith(split);
    const variants = new Set<string | undefined>();
    for (let request = 0; request < 30; request++)
      variants.add(routed(await ask())[4] ?? undefined);
    expect([...variants].toSorted()).toEqual(["current", "next"]);
  });

  it("follows the URL before the flag, and stable without one", async () => {
    const { ask } = await edgeWith({ ...split, defaultVariant: "next", targeting: undefined });
    expect(routed(await ask())).toEqual(["2", "41", "STATIC", "m", "next"]);
    expect(routed(await ask({}, "/versions/1"))).toEqual(["1", "41", "EXPLICIT", null, null]);
    const plain = await edgeWith();
    expect(routed(await plain.ask())).toEqual(["1", "41", "STABLE", null, null]);
  });

  it("lets the operator override, and nobody else", async () => {
    const { ask } = await edgeWith(split, {}, { ADMIN_TOKEN: "secret-token" });
    const headers = { "nearside-override": "2" };
    const allowed = await ask({ ...headers, authorization: "Bearer secret-token" });
    expect(routed(allowed)).toEqual(["2", "41", "OVERRIDE", null, null]);
    for (const authorization of ["", "Bearer wrong", "Bearer secret-toke", "Basic secret-token"]) {
      const refused = await ask({ ...headers, authorization });
      expect([refused.status, (await refused.json<{ code: string }>()).code]).toEqual([
        403,
        "override_forbidden",
      ]);
    }
    const closed = await edgeWith(split);
    expect((await closed.ask({ ...headers, authorization: "Bearer " })).status).toBe(403);
  });

  it("answers by stable, and counts it, when a flag can't be evaluated", async () => {
    const { ask, isolate } = await edgeWith({ ...split, targeting: { frobnicate: [1] } });
    expect(routed(await ask())).toEqual(["1", "41", "ERROR", "m", null]);
    expect(isolate.flags.stats).toEqual({ fallbacks: 1, brokenSets: 0 });
  });

  it("answers by stable, and counts it, when no flag of the catalog can be read", async () => {
    const { ask, isolate } = await edgeWith({ ...split, defaultVariant: "gone" });
    expect(routed(await ask())).toEqual(["1", "41", "STABLE", null, null]);
    expect((await ask()).status).toBe(200);
    expect(isolate.flags.stats).toEqual({ fallbacks: 0, brokenSets: 1 });
  });

  it("switches models and versions off at the next catalog", async () => {
    const off = await edgeWith(split, { off: true });
    const response = await off.ask();
    expect([response.status, (await response.json<{ code: string }>()).code]).toEqual([
      503,
      "model_off",
    ]);
    const half = await edgeWith(
      { ...split, defaultVariant: "next", targeting: undefined },
      {
        offVersions: [2],
      },
    );
    expect(routed(await half.ask())).toEqual(["1", "41", "OFF", "m", null]);
    expect((await half.ask({}, "/versions/2")).status).toBe(503);
  });
});
