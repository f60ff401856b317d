import { mkdir } from "node:fs/promises";
import { userInfo } from "node:os";
import path from "node:path";

import { beforeEach, describe, expect, it } from "vitest";

import { startBridge } from "../../../src/cli/bridge/server.ts";
import { findEdge, openControl } from "../../../src/cli/nearside/open-control.ts";
import { lockState } from "../../../src/cli/state-lock.ts";
import { MemoryBucket, MemoryNamespace } from "../../support/memory-bucket.ts";
import { type Answer, recordingControl } from "./recording-control.ts";
import { sayTo, type TemporaryFolder, temporaryFolder } from "../support.ts";

const control = recordingControl();

const say = (line: string, env: Record<string, string> = {}) =>
  sayTo(
    { NEARSIDE_CONTROL_URL: control.url, NEARSIDE_ADMIN_TOKEN: "secret", ...env },
    line.split(" "),
  );

const LABEL = "/v1/models/m/labels/canary";

describe("a change", () => {
  it("shows the ETag of what it looked at, the token and who asks", async () => {
    control.answers[`GET ${LABEL}`] = { etag: '"one"', body: { version: 1 } };
    control.answers[`PUT ${LABEL}`] = {};
    await say("label m canary 2", { NEARSIDE_ACTOR: "Ada Lovelace" });
    expect(control.seen.map(({ request }) => request)).toEqual([`GET ${LABEL}`, `PUT ${LABEL}`]);
    expect(control.seen[1]?.body).toEqual({ version: 2 });
    expect(control.seen[1]?.headers).toMatchObject({
      "if-match": '"one"',
      authorization: "Bearer secret",
      "nearside-actor": "Ada Lovelace",
      "content-type": "application/json",
    });
    expect(control.seen[1]?.headers).not.toHaveProperty("if-none-match");
  });

  it("creates only what is not there yet", async () => {
    control.answers[`PUT ${LABEL}?dry-run=true`] = {};
    const { exitCode } = await say("label m canary 2 --dry-run");
    expect(exitCode).toBe(0);
    expect(control.seen[1]?.headers).toMatchObject({ "if-none-match": "*" });
    expect(control.seen[1]?.headers).not.toHaveProperty("if-match");
    expect(control.seen[1]?.headers["nearside-actor"]).toBe(userInfo().username);
  });

  it("is not sent when the look fails for another reason", async () => {
    control.answers[`GET ${LABEL}`] = {
      status: 404,
      body: { code: "model_not_found", detail: "No m." },
    };
    const { err, exitCode } = await say("label m canary 2");
    expect([err, exitCode]).toEqual(["No m.\n`npx nearside models` lists them.\n", 1]);
    expect(control.seen).toHaveLength(1);
  });
});

describe("a plan of a rollout", () => {
  it.each([
    ["", { guards: {} }],
    [
      " --steps 10,100 --min-seconds 0.5 --min-requests 5 --min-comparisons 6 --shadow-rate 1",
      {
        steps: [10, 100],
        minSeconds: 0.5,
        minRequests: 5,
        minComparisons: 6,
        shadowRate: 1,
        guards: {},
      },
    ],
    [
      " --max-disagreement 0.05 --max-error-ratio 2 --max-latency-ratio off --max-cost-ratio 1.5",
      {
        guards: {
          disagreement: { share: 0.05 },
          errors: { ratio: 2 },
          latency: false,
          cost: { ratio: 1.5 },
        },
      },
    ],
  ])("says what was said:%s", async (options, plan) => {
    await say(`rollout start m 2${options}`);
    expect(control.seen[0]).toMatchObject({ request: "POST /v1/models/m/rollout" });
    expect(control.seen[0]?.body).toEqual({ version: 2, ...plan });
    expect(control.seen[0]?.headers["if-none-match"]).toBe("*");
  });
});

describe("a refusal", () => {
  it.each<[string, Answer, string]>([
    [
      "keeps its sentence",
      { status: 409, body: { code: "rollout_running", detail: "A rollout is running." } },
      "A rollout is running.\n`npx nearside rollout status m` shows it; `rollout promote` or `rollout abort` ends it.\n",
    ],
    [
      "names the place where its sentence does not",
      { status: 422, body: { code: "invalid_change", detail: "Too much.", field: "flags.m.x" } },
      "Too much. (flags.m.x)\n",
    ],
    [
      "lists everything that is wrong",
      {
        status: 422,
        body: {
          code: "invalid_change",
          detail: "a.b: is wrong.",
          field: "a.b",
          problems: [
            { field: "a.b", problem: "is wrong" },
            { field: "c", problem: "is missing" },
          ],
        },
      },
      "a.b: is wrong.\n  a.b: is wrong\n  c: is missing\n",
    ],
    [
      "of the token says where the token is set",
      { status: 401, body: { code: "unauthorized", detail: "This is not the admin token." } },
      "This is not the admin token.\nNEARSIDE_ADMIN_TOKEN must be the control plane's ADMIN_TOKEN: `npx wrangler secret put ADMIN_TOKEN --config workers/control/wrangler.toml` sets it.\n",
    ],
  ])("%s", async (_, answer, message) => {
    control.answers["GET /v1/models/m/flag"] = answer;
    expect(await say("flag get m")).toEqual({ out: "", err: message, exitCode: 1 });
  });

  it.each([
    ["a page of somebody else", { status: 502, body: "<html>" }, "answered with status 502, and"],
    ["an answer of another shape", { body: [] }, "does not answer as this version of Nearside"],
  ])("names %s", async (_, answer, message) => {
    control.answers["GET /v1/models/m/labels/canary"] = answer;
    expect((await say("label m canary")).err).toContain(message);
  });

  it("is one JSON document with --json", async () => {
    control.answers["GET /v1/models/m/flag"] = {
      status: 404,
      body: { code: "flag_not_found", detail: "none", field: "model" },
    };
    const { out, err } = await say("flag get m --json");
    expect(JSON.parse(out)).toEqual({
      error: {
        message: expect.stringContaining('"m" has no flag'),
        code: "flag_not_found",
        field: "model",
      },
    });
    expect(err).toBe("");
  });
});

describe("a watch", () => {
  it("survives a control plane that is away for a moment", async () => {
    const rollout = {
      model: "m",
      status: "promoted",
      plan: { version: 2, steps: [100] },
      baseline: 1,
      step: 0,
      share: 100,
      stepStartedAt: "2026-11-01T10:00:00Z",
      startedAt: "2026-11-01T10:00:00Z",
      startedBy: "ada",
      findings: [{ guard: "errors", broken: false, sentence: "0 of 9 failed" }],
      stats: { step: { baseline: { requests: 0 }, candidate: { requests: 9 } } },
    };
    const status = "GET /v1/models/m/rollout";
    control.answers[status] = { status: 503, body: "busy" };
    const env = { NEARSIDE_CONTROL_URL: control.url, NEARSIDE_ADMIN_TOKEN: "secret" };
    const watched = await sayTo(env, ["rollout", "status", "m", "--watch"], {
      wait: async () => void (control.answers[status] = { body: rollout }),
    });
    expect(watched).toMatchObject({ exitCode: 0, err: "" });
    expect(watched.out).toContain("  errors    0 of 9 failed\n");
    control.answers[status] = { body: { ...rollout, status: "rolled_back", reason: "errors" } };
    expect(await say("rollout status m --watch")).toMatchObject({ exitCode: 1 });
  });

  it("gives up when it stays away", async () => {
    control.answers["GET /v1/models/m/rollout"] = { status: 503, body: "busy" };
    const { exitCode, err } = await say("rollout status m --watch");
    expect(exitCode).toBe(1);
    expect(err).toContain("status 503");
    expect(control.seen).toHaveLength(15);
  });
});

describe("the control plane", () => {
  let temporary: TemporaryFolder;
  let stateFolder: string;
  const store = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
  beforeEach(async () => {
    temporary = await temporaryFolder();
    stateFolder = path.join(temporary.folder, "state");
    await mkdir(stateFolder);
    return () => temporary.remove();
  });

  const REMOTE = { NEARSIDE_CONTROL_URL: "https://control.test/", NEARSIDE_ADMIN_TOKEN: "t" };

  it("is that of the running `npm start`, unless --remote says otherwise", async () => {
    const places = { controlUrl: control.url, adminToken: "local", edgeUrl: "http://edge.test" };
    const bridge = await startBridge(store, stateFolder, places);
    const local = await openControl({ remote: false, stateFolder, env: REMOTE });
    const remote = await openControl({ remote: true, stateFolder, env: REMOTE });
    expect(await findEdge({ remote: false, stateFolder, env: {} })).toBe("http://edge.test");
    expect([local.url, remote.url]).toEqual([control.url, "https://control.test"]);
    await bridge.stop();
    const other = await openControl({ remote: false, stateFolder, env: REMOTE });
    expect(other.url).toBe("https://control.test");
  });

  it.each([
    [false, {}, "Nothing answers for the control plane: run `npm start`, or set"],
    [true, {}, "--remote needs NEARSIDE_CONTROL_URL"],
    [false, { NEARSIDE_CONTROL_URL: "https://x.test" }, "needs NEARSIDE_ADMIN_TOKEN beside it"],
    [true, { ...REMOTE, NEARSIDE_CONTROL_URL: "x.test" }, 'is no address: "x.test"'],
    [true, { ...REMOTE, NEARSIDE_ACTOR: "ä" }, "NEARSIDE_ACTOR takes 1 to 64"],
  ])("is not there with --remote %s and %j", async (remote, env, message) => {
    await expect(openControl({ remote, stateFolder, env })).rejects.toThrow(message);
  });

  it("is not there yet while `npm start` is getting ready", async () => {
    const lock = await lockState(stateFolder, "npm start", 0);
    await expect(openControl({ remote: false, stateFolder, env: {} })).rejects.toThrow(
      "is still getting ready",
    );
    await lock.release();
  });

  it.each([
    [false, {}, "No edge answers: run `npm start`, or set NEARSIDE_EDGE_URL."],
    [true, {}, "--remote needs NEARSIDE_EDGE_URL"],
    [true, { NEARSIDE_EDGE_URL: "x.test" }, 'NEARSIDE_EDGE_URL is no address: "x.test"'],
  ])("has no edge beside it with --remote %s and %j", async (remote, env, message) => {
    await expect(findEdge({ remote, stateFolder, env })).rejects.toThrow(message);
  });

  it("has the edge beside it that the environment names", async () => {
    const env = { NEARSIDE_EDGE_URL: "https://edge.test/" };
    expect(await findEdge({ remote: true, stateFolder, env })).toBe("https://edge.test");
  });

  it("that does not answer is named", async () => {
    const gone = { NEARSIDE_CONTROL_URL: "http://127.0.0.1:1" };
    expect((await say("flag get m", gone)).err).toMatch(
      /^The control plane at http:\/\/127\.0\.0\.1:1 does not answer\. Run `npm start`/,
    );
  });
});
