import { beforeEach, describe, expect, it } from "vitest";

import type { RolloutView } from "../../../src/rollout/view.ts";
import { catalogBytes, controlOf, publishModels } from "../../support/control.ts";

const { ask, get } = controlOf();

const CREATE = { "if-none-match": "*" };
const ANY = { "if-match": "*" };
const flag = { state: "ENABLED", variants: { next: 2 }, defaultVariant: "next" };

/** Each test has a model of its own: a model's Durable Object remembers its rollouts. */
let model = "";
let tests = 0;
const path = (more = "") => `/v1/models/${model}/rollout${more}`;
const start = (plan: object = {}, query = "") =>
  ask("POST", path(query), { body: { version: 2, ...plan }, headers: CREATE });

beforeEach(async () => {
  model = `m${tests++}`;
  await publishModels({ [model]: [1, 2, 3], other: [1, 2] });
});

describe("a rollout", () => {
  it("starts, is paused, goes on and is promoted, each time with another ETag", async () => {
    expect((await get(path())).json).toMatchObject({ code: "rollout_not_found" });
    const started = await start({ steps: [10, 100] });
    expect(started).toMatchObject({
      status: 201,
      json: { status: "running", baseline: 1, share: 10, startedBy: "admin token" },
    });
    expect(started.headers.get("location")).toBe(path());
    expect((started.json as RolloutView).etag).toBe(started.etag);
    expect((await get(path())).etag).toBe(started.etag);
    expect((await get(`/v1/models/${model}`)).json).toMatchObject({ rollout: "running" });
    let { etag } = started;
    for (const [action, status] of [
      ["pause", "paused"],
      ["resume", "running"],
      ["promote", "promoted"],
    ]) {
      const body = action === "pause" ? { reason: "lunch" } : undefined;
      const done = await ask("POST", path(`/${action}`), { body, headers: { "if-match": etag } });
      expect(done).toMatchObject({ status: 200, json: { status } });
      expect(done.etag).not.toBe(etag);
      ({ etag } = done);
    }
    expect((await get(`/v1/models/${model}/labels/stable`)).json).toEqual({ version: 2 });
    expect((await get(`/v1/models/${model}/flag`)).json).toMatchObject({ code: "flag_not_found" });
    expect((await get(`/v1/models/${model}/rollouts`)).json).toMatchObject([
      { status: "promoted" },
    ]);
    const { json } = await get(`/v1/audit?model=${model}`);
    const actions = (json as { action: string }[]).map(({ action }) => action);
    expect(actions.filter((action) => action.startsWith("rollout."))).toEqual([
      "rollout.promote",
      "rollout.resume",
      "rollout.pause",
      "rollout.start",
    ]);
  });

  it("changes nothing when it is only tried", async () => {
    const before = await catalogBytes();
    const tried = await start({}, "?dry-run=true");
    expect(tried).toMatchObject({ status: 200, json: { dryRun: true, status: "running" } });
    expect((await get(path())).json).toMatchObject({ code: "rollout_not_found" });
    expect(await catalogBytes()).toBe(before);
    const { etag } = await start();
    const running = await catalogBytes();
    const abort = await ask("POST", path("/abort?dry-run=true"), { headers: ANY });
    expect(abort.json).toMatchObject({ dryRun: true, status: "aborted" });
    expect((await get(path())).etag).toBe(etag);
    expect(await catalogBytes()).toBe(running);
  });

  it("owns its model's flag and stable until its end", async () => {
    const { json: current } = await get("/v1/catalog");
    const { number } = current as { number: number };
    await start();
    const refused = [
      await ask("PUT", `/v1/models/${model}/flag`, { body: flag, headers: ANY }),
      await ask("DELETE", `/v1/models/${model}/flag`, { headers: ANY }),
      await ask("PUT", `/v1/models/${model}/labels/stable`, { body: { version: 3 }, headers: ANY }),
      await ask("POST", "/v1/catalog/rollback", { body: { to: number }, headers: ANY }),
      await start({ version: 3 }),
    ];
    for (const { status, json } of refused) {
      expect(json).toMatchObject({ code: "rollout_running" });
      expect(status).toBe(409);
    }
    expect(refused[0]?.json).toMatchObject({
      detail: expect.stringContaining(`POST ${path("/abort")}`),
    });
    const allowed = [
      await ask("PUT", `/v1/models/${model}/labels/canary`, {
        body: { version: 3 },
        headers: CREATE,
      }),
      await ask("PUT", "/v1/models/other/flag", { body: flag, headers: CREATE }),
      await ask("PUT", `/v1/models/${model}/switches`, {
        body: { off: true, offVersions: [] },
        headers: ANY,
      }),
    ];
    expect(allowed.map(({ status }) => status)).toEqual([200, 200, 200]);
    await ask("POST", path("/abort"), { headers: ANY });
    const moved = await ask("PUT", `/v1/models/${model}/labels/stable`, {
      body: { version: 3 },
      headers: ANY,
    });
    expect(moved.status).toBe(200);
  });

  it.each<[string, object, object]>([
    ["no version", { version: undefined }, { code: "invalid_request", field: "version" }],
    ["a missing version", { version: 9 }, { code: "version_not_found" }],
    ["steps that fall", { steps: [5, 1, 100] }, { field: "steps", detail: "steps: must rise." }],
    ["steps that don't end", { steps: [1, 5] }, { detail: "steps: must end with 100." }],
    ["an unknown guard", { guards: { eror: false } }, { field: "guards.eror" }],
    [
      "a wrong number in a guard",
      { guards: { latency: { ratio: 0.5 } } },
      { code: "invalid_request", field: "guards.latency.ratio" },
    ],
    ["a guard that is on", { guards: { errors: true } }, { field: "guards.errors" }],
  ])("with %s is refused with the field", async (_, plan, problem) => {
    expect((await start(plan)).json).toMatchObject(problem);
    expect((await get(`/v1/models/${model}/rollouts`)).json).toEqual([]);
  });

  it("does not push aside a flag that somebody has set", async () => {
    await ask("PUT", `/v1/models/${model}/flag`, { body: flag, headers: CREATE });
    expect(await start()).toMatchObject({ status: 409, json: { code: "flag_in_the_way" } });
  });

  it("is started by If-None-Match, and acted on by If-Match", async () => {
    const body = { version: 2 };
    const wrongStart = await ask("POST", path(), { body, headers: ANY });
    expect(wrongStart.json).toMatchObject({ code: "precondition_failed" });
    const nothing = await ask("POST", path("/pause"), { headers: ANY });
    expect(nothing.json).toMatchObject({ code: "rollout_not_found" });
    await start();
    const wrongAct = await ask("POST", path("/pause"), { headers: CREATE });
    expect(wrongAct.json).toMatchObject({ code: "precondition_failed" });
    await ask("POST", path("/abort"), { headers: ANY });
    const over = await ask("POST", path("/pause"), { headers: ANY });
    expect(over).toMatchObject({ status: 409, json: { code: "rollout_over" } });
  });

  it("is decided by exactly one of two operators who saw the same", async () => {
    const { etag } = await start();
    const answers = await Promise.all(
      ["abort", "promote"].map((action) =>
        ask("POST", path(`/${action}`), { headers: { "if-match": etag } }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412]);
  });

  it("starts once for two operators at once", async () => {
    const answers = await Promise.all([start(), start({ version: 3 })]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409]);
    expect((await get(`/v1/models/${model}/rollouts`)).json).toHaveLength(1);
  });
});
