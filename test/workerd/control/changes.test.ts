import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";

import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import { catalogBytes, controlOf, publishModels } from "../../support/control.ts";

const { ask, get } = controlOf();

const CREATE = { "if-none-match": "*" };
const ANY = { "if-match": "*" };

const split = (next: number) => ({
  state: "ENABLED",
  variants: { current: "stable", next: 2 },
  defaultVariant: "current",
  targeting: {
    fractional: [
      ["current", 100 - next],
      ["next", next],
    ],
  },
});

beforeEach(() => publishModels({ m: [1, 2, 3], other: [1] }));

describe("models", () => {
  it("are listed with their versions, labels, switches, flag and rollout", async () => {
    await ask("PUT", "/v1/models/m/labels/canary", { body: { version: 2 }, headers: CREATE });
    await ask("PUT", "/v1/models/m/flag", { body: split(5), headers: CREATE });
    await ask("PUT", "/v1/models/m/switches", {
      body: { off: false, offVersions: [3] },
      headers: ANY,
    });
    const m = {
      name: "m",
      stable: 1,
      versions: [
        { version: 1, labels: ["stable"], off: false },
        { version: 2, labels: ["canary"], off: false },
        { version: 3, labels: [], off: true },
      ],
      off: false,
      flag: "ENABLED",
      rollout: null,
    };
    expect((await get("/v1/models/m")).json).toEqual(m);
    expect((await get("/v1/models")).json).toEqual([
      m,
      {
        name: "other",
        stable: 1,
        versions: [{ version: 1, labels: ["stable"], off: false }],
        off: false,
        flag: null,
        rollout: null,
      },
    ]);
  });

  it.each([
    ["GET", "/v1/models/gone", undefined],
    ["GET", "/v1/models/constructor/flag", undefined],
    ["GET", "/v1/models/gone/switches", undefined],
    ["GET", "/v1/models/gone/labels/stable", undefined],
    ["PUT", "/v1/models/gone/labels/canary", { version: 1 }],
    ["PUT", "/v1/models/gone/switches", { off: true, offVersions: [] }],
    ["PUT", "/v1/models/gone/flag", split(1)],
    ["POST", "/v1/models/gone/flag/test", {}],
    ["POST", "/v1/models/gone/flag/test", { flag: split(1) }],
    ["GET", "/v1/models/gone/rollout", undefined],
    ["GET", "/v1/models/gone/rollouts", undefined],
    ["GET", "/v1/models/gone/shadows", undefined],
    ["POST", "/v1/models/gone/rollout", { version: 2 }],
  ])("that are not there are named, with those that are: %s %s", async (method, path, body) => {
    const { status, json } = await ask(method, path, {
      body,
      headers: method === "GET" ? {} : ANY,
    });
    expect(json).toMatchObject({ code: "model_not_found", field: "model" });
    expect(json).toMatchObject({ detail: expect.stringContaining("there are m, other") });
    expect(status).toBe(404);
  });
});

describe("labels", () => {
  it("are made, moved and removed, each a catalog of its own that the edge gets", async () => {
    const made = await ask("PUT", "/v1/models/m/labels/canary", {
      body: { version: 2 },
      headers: CREATE,
    });
    expect(made).toMatchObject({
      status: 200,
      json: { catalog: 2, changes: [{ field: "models.m.labels.canary", after: 2 }] },
    });
    const seen = await get("/v1/models/m/labels/canary");
    expect(seen).toMatchObject({ status: 200, etag: made.etag, json: { version: 2 } });
    expect(seen.etag).toMatch(/^"[0-9a-f]{32}"$/);
    const moved = await ask("PUT", "/v1/models/m/labels/canary", {
      body: { version: 3 },
      headers: { "if-match": seen.etag },
    });
    expect(moved.json).toEqual({
      catalog: 3,
      changes: [{ field: "models.m.labels.canary", before: 2, after: 3 }],
    });
    expect(await env.CATALOG.get(CATALOG_KV_KEY, "json")).toMatchObject({
      number: 3,
      models: { m: { labels: { stable: 1, canary: 3 } } },
    });
    const removed = await ask("DELETE", "/v1/models/m/labels/canary", {
      headers: { "if-match": moved.etag },
    });
    expect(removed.json).toMatchObject({ catalog: 4 });
    expect(removed.etag).toBe("");
    expect((await get("/v1/models/m/labels/canary")).json).toMatchObject({
      code: "label_not_found",
    });
  });

  it.each<[string, string, string, object | undefined, object]>([
    [
      "a version that is not published",
      "PUT",
      "canary",
      { version: 9 },
      {
        status: 422,
        code: "invalid_change",
        field: "models.m.labels.canary",
        detail: expect.stringContaining("there are 1, 2, 3"),
      },
    ],
    ["a name that is none", "PUT", "Canary", { version: 2 }, { status: 400, field: "label" }],
    ["a number for a name", "PUT", "7", { version: 2 }, { status: 400, field: "label" }],
    ["a version in words", "PUT", "canary", { version: "2" }, { status: 400, field: "version" }],
    ["no version", "PUT", "canary", {}, { field: "version", detail: "version: is missing." }],
    [
      "an unknown field",
      "PUT",
      "canary",
      { version: 2, colour: 1 },
      { field: "colour", detail: "colour: is not known here." },
    ],
    ["an end of stable", "DELETE", "stable", undefined, { status: 422, code: "invalid_change" }],
    ["an end of what is not", "DELETE", "x", undefined, { status: 404, code: "label_not_found" }],
  ])("refuse %s", async (_, method, label, body, problem) => {
    const headers = method === "PUT" ? CREATE : ANY;
    const { json } = await ask(method, `/v1/models/m/labels/${label}`, { body, headers });
    expect(json).toMatchObject(problem);
    expect(JSON.parse(await catalogBytes())).toMatchObject({ number: 1 });
  });

  it("stay while a flag names them", async () => {
    await ask("PUT", "/v1/models/m/labels/canary", { body: { version: 2 }, headers: CREATE });
    const flag = { ...split(5), variants: { current: "stable", next: "canary" } };
    await ask("PUT", "/v1/models/m/flag", { body: flag, headers: CREATE });
    const { json } = await ask("DELETE", "/v1/models/m/labels/canary", { headers: ANY });
    expect(json).toMatchObject({ code: "invalid_change", field: "flags.m.variants.next" });
  });
});

describe("switches", () => {
  it("are off until they are on, and leave no trace when off again", async () => {
    const before = await get("/v1/models/m/switches");
    expect(before.json).toEqual({ off: false, offVersions: [] });
    const on = await ask("PUT", "/v1/models/m/switches", {
      body: { off: true, offVersions: [3, 2, 3] },
      headers: { "if-match": before.etag },
    });
    expect((await get("/v1/models/m/switches")).json).toEqual({ off: true, offVersions: [2, 3] });
    await ask("PUT", "/v1/models/m/switches", {
      body: { off: false, offVersions: [] },
      headers: { "if-match": on.etag },
    });
    const { models } = (await get("/v1/catalog")).json as { models: object };
    expect(models).toHaveProperty("m", { versions: [1, 2, 3], labels: { stable: 1 } });
  });

  it("refuse to leave stable without its version", async () => {
    const { json } = await ask("PUT", "/v1/models/m/switches", {
      body: { off: false, offVersions: [1] },
      headers: ANY,
    });
    expect(json).toMatchObject({ code: "invalid_change", field: "models.m.offVersions" });
  });
});

describe("flags", () => {
  it("are set, changed and removed, and say whom they move", async () => {
    expect((await get("/v1/models/m/flag")).json).toMatchObject({ code: "flag_not_found" });
    const set = await ask("PUT", "/v1/models/m/flag", { body: split(10), headers: CREATE });
    const { traffic } = set.json as {
      traffic: Record<string, Record<string, { percent: number }>>;
    };
    expect(traffic).toMatchObject({
      before: { "(stable)": { version: 1, percent: 100 } },
      after: { current: { version: 1 }, next: { version: 2 } },
    });
    expect(traffic.after?.next?.percent).toBeGreaterThan(7);
    expect(traffic.after?.next?.percent).toBeLessThan(13);
    const seen = await get("/v1/models/m/flag");
    expect(seen).toMatchObject({ etag: set.etag, json: split(10) });
    const changed = await ask("PUT", "/v1/models/m/flag", {
      body: split(20),
      headers: { "if-match": `"other", ${seen.etag}` },
    });
    expect(changed.json).toMatchObject({
      changes: [
        { field: "flags.m.targeting.fractional[0][1]", before: 90, after: 80 },
        { field: "flags.m.targeting.fractional[1][1]", before: 10, after: 20 },
      ],
    });
    const removed = await ask("DELETE", "/v1/models/m/flag", { headers: ANY });
    expect(removed.json).toMatchObject({
      changes: [{ field: "flags.m" }],
      traffic: { after: { "(stable)": { percent: 100 } } },
    });
  });

  it.each<[string, object, string, string?]>([
    [
      "a missing version",
      { ...split(1), variants: { current: 1, next: 9 } },
      "flags.m.variants.next",
    ],
    [
      "fractions that don't sum",
      {
        ...split(1),
        targeting: {
          fractional: [
            ["current", 98],
            ["next", 1],
          ],
        },
      },
      "flags.m.targeting.fractional",
    ],
    [
      "an unreachable rule",
      { ...split(1), targeting: { if: [true, "current", "next"] } },
      "flags.m.targeting.if[0]",
    ],
    ["an unknown default", { ...split(1), defaultVariant: "gone" }, "flags.m.defaultVariant"],
    ["a state that is none", { ...split(1), state: "ON" }, "state", "invalid_request"],
    ["an unknown field", { ...split(1), varaints: {} }, "varaints", "invalid_request"],
  ])("with %s are refused with the field", async (_, body, field, code = "invalid_change") => {
    const before = await catalogBytes();
    const { json } = await ask("PUT", "/v1/models/m/flag", { body, headers: CREATE });
    expect(json).toMatchObject({ code, field, problems: [{ field }] });
    expect(await catalogBytes()).toBe(before);
  });

  it("can be tried before they are set: one caller's choice, and everybody's shares", async () => {
    const flag = {
      ...split(50),
      targeting: { if: [{ "==": [{ var: "country" }, "IS"] }, "next", split(50).targeting] },
    };
    const before = await catalogBytes();
    const asked = { flag, context: { country: "IS", targetingKey: "a" }, keys: 100 };
    const { json } = await ask("POST", "/v1/models/m/flag/test", { body: asked });
    expect(json).toEqual({
      choice: { version: 2, variant: "next", reason: "TARGETING_MATCH" },
      shares: { next: { version: 2, percent: 100 } },
    });
    expect(await catalogBytes()).toBe(before);
    const stored = await ask("POST", "/v1/models/m/flag/test", { body: {} });
    expect(stored.json).toEqual({
      choice: { version: 1, reason: "STABLE" },
      shares: { "(stable)": { version: 1, percent: 100 } },
    });
  });

  it("are told to choose nothing while the model is off", async () => {
    await ask("PUT", "/v1/models/m/switches", {
      body: { off: true, offVersions: [] },
      headers: ANY,
    });
    const { json } = await ask("POST", "/v1/models/m/flag/test", { body: { keys: 10 } });
    expect(json).toEqual({
      choice: { version: null, reason: "MODEL_OFF" },
      shares: { "(model_off)": { version: null, percent: 100 } },
    });
  });
});

describe("shared rules", () => {
  it("are set for all flags, checked, and cleared", async () => {
    const before = await get("/v1/evaluators");
    expect(before.json).toEqual({});
    const rules = { inIceland: { "==": [{ var: "country" }, "IS"] } };
    const set = await ask("PUT", "/v1/evaluators", {
      body: rules,
      headers: { "if-match": before.etag },
    });
    expect(set.json).toMatchObject({ changes: [{ field: "$evaluators.inIceland" }] });
    expect((await get("/v1/evaluators")).json).toEqual(rules);
    const flag = { ...split(1), targeting: { if: [{ $ref: "inIceland" }, "next", "current"] } };
    expect(await ask("PUT", "/v1/models/m/flag", { body: flag, headers: CREATE })).toMatchObject({
      status: 200,
    });
    const broken = { fractions: { fractional: [["a", 3]] } };
    const refused = await ask("PUT", "/v1/evaluators", { body: broken, headers: ANY });
    expect(refused.json).toMatchObject({
      code: "invalid_change",
      field: "$evaluators.fractions.fractional",
    });
    await ask("DELETE", "/v1/models/m/flag", { headers: ANY });
    await ask("PUT", "/v1/evaluators", { body: {}, headers: { "if-match": set.etag } });
    expect((await get("/v1/evaluators")).json).toEqual({});
  });
});

describe("a change", () => {
  it.each<[string, string, unknown]>([
    ["PUT", "/v1/models/m/labels/canary", { version: 2 }],
    ["DELETE", "/v1/models/m/labels/canary", undefined],
    ["PUT", "/v1/models/m/switches", { off: true, offVersions: [] }],
    ["PUT", "/v1/models/m/flag", split(1)],
    ["DELETE", "/v1/models/m/flag", undefined],
    ["PUT", "/v1/evaluators", {}],
    ["POST", "/v1/catalog/rollback", { to: 1 }],
    ["POST", "/v1/models/m/rollout", { version: 2 }],
    ["POST", "/v1/models/m/rollout/pause", {}],
  ])("must say what it changes: %s %s", async (method, path, body) => {
    const { status, json } = await ask(method, path, { body });
    expect(status).toBe(428);
    expect(json).toMatchObject({
      code: "precondition_required",
      detail: expect.stringContaining("send If-Match with the ETag that GET answers"),
    });
  });

  it("of what has changed meanwhile is refused, and told what it is now", async () => {
    const { etag } = await get("/v1/models/m/switches");
    const { json, status } = await ask("PUT", "/v1/models/m/switches", {
      body: { off: true, offVersions: [] },
      headers: { "if-match": '"something else"' },
    });
    expect(status).toBe(412);
    expect(json).toMatchObject({
      code: "precondition_failed",
      detail: expect.stringContaining(`its ETag is ${etag} now`),
    });
  });

  it("that creates is refused where there is something, and one that changes where there is nothing", async () => {
    const stable = await ask("PUT", "/v1/models/m/labels/stable", {
      body: { version: 2 },
      headers: CREATE,
    });
    expect(stable.json).toMatchObject({ code: "precondition_failed" });
    const canary = await ask("PUT", "/v1/models/m/labels/canary", {
      body: { version: 2 },
      headers: ANY,
    });
    expect(canary.json).toMatchObject({ detail: expect.stringContaining("If-None-Match: *") });
  });

  it("is won by exactly one of two operators who saw the same", async () => {
    const { etag } = await get("/v1/models/m/labels/stable");
    const versions = [2, 3];
    const answers = await Promise.all(
      versions.map((version) =>
        ask("PUT", "/v1/models/m/labels/stable", {
          body: { version },
          headers: { "if-match": etag },
        }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412]);
    const won = versions[answers.findIndex(({ status }) => status === 200)];
    expect((await get("/v1/models/m/labels/stable")).json).toEqual({ version: won });
  });

  it("does not get lost among others at the same time", async () => {
    const answers = await Promise.all(
      ["a", "b", "c", "d"].map((label) =>
        ask("PUT", `/v1/models/m/labels/${label}`, { body: { version: 2 }, headers: CREATE }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const { number, models } = JSON.parse(await catalogBytes());
    expect(number).toBe(5);
    expect(models.m.labels).toEqual({ stable: 1, a: 2, b: 2, c: 2, d: 2 });
    const { models: served } = (await env.CATALOG.get<typeof models>(CATALOG_KV_KEY, "json")) ?? {};
    expect(served.m.labels).toEqual(models.m.labels);
  });

  it("of nothing makes no catalog", async () => {
    const { json } = await ask("PUT", "/v1/models/m/labels/stable", {
      body: { version: 1 },
      headers: ANY,
    });
    expect(json).toEqual({ catalog: 1, changes: [] });
  });

  it.each<[string, string, unknown]>([
    ["PUT", "/v1/models/m/labels/canary", { version: 2 }],
    ["PUT", "/v1/models/m/labels/stable", { version: 2 }],
    ["PUT", "/v1/models/m/switches", { off: true, offVersions: [] }],
    ["PUT", "/v1/models/m/flag", split(1)],
    ["PUT", "/v1/evaluators", { always: { "==": [1, 1] } }],
  ])("that is only tried tells its effect and has none: %s %s", async (method, path, body) => {
    const before = await catalogBytes();
    const audited = (await get("/v1/audit")).json;
    const creates = path.endsWith("canary") || path.endsWith("flag");
    const { status, json } = await ask(method, `${path}?dry-run=true`, {
      body,
      headers: creates ? CREATE : ANY,
    });
    expect(status).toBe(200);
    expect(json).toMatchObject({ catalog: 2, dryRun: true, changes: [{}] });
    expect(await catalogBytes()).toBe(before);
    expect((await get("/v1/audit")).json).toEqual(audited);
  });

  it("is not made because its query is misspelt", async () => {
    const before = await catalogBytes();
    for (const query of ["dry_run=true", "dry-run=yes", "dry-run"]) {
      const { json } = await ask("PUT", `/v1/models/m/flag?${query}`, {
        body: split(1),
        headers: CREATE,
      });
      expect(json).toMatchObject({ code: "invalid_request", field: query.split("=")[0] });
    }
    expect(await catalogBytes()).toBe(before);
  });
});
