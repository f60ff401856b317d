import { describe, expect, it } from "vitest";

import { sayTo } from "../support.ts";
import { recordingControl } from "./recording-control.ts";

const control = recordingControl();
const say = (...words: string[]) =>
  sayTo({ NEARSIDE_CONTROL_URL: control.url, NEARSIDE_ADMIN_TOKEN: "secret" }, words);

const DEAD = {
  dead: [
    {
      id: "m-1",
      at: "2026-11-24T22:00:00.000Z",
      reason: "wrong_amount",
      body: { model: "iris", billing: { account: "acc_a" } },
    },
    { id: "m-2", at: "2026-11-24T22:01:00.000Z", reason: "malformed", body: "nonsense" },
  ],
  isWhole: false,
};

describe("nearside usage dead list", () => {
  it("shows what could not be counted, and why", async () => {
    control.answers["GET /v1/usage/dead"] = { body: DEAD };
    const { out, exitCode } = await say("usage", "dead", "list");
    expect(out).toMatch(/wrong_amount +acc_a +iris +m-1\n/);
    expect(out).toMatch(/malformed +- +- +m-2\n… and more\n$/);
    expect(exitCode).toBe(0);
  });

  it("asks for one day", async () => {
    control.answers["GET /v1/usage/dead?day=2026-11-24"] = { body: { dead: [], isWhole: true } };
    expect((await say("usage", "dead", "list", "--day", "2026-11-24")).out).toBe(
      "There is none.\n",
    );
  });
});

describe("nearside usage dead replay", () => {
  it("says what was counted and what still can't be, and fails then", async () => {
    control.answers["POST /v1/usage/dead/replay"] = {
      body: { replayed: 3, left: [{ id: "m-2", reason: "malformed" }], isWhole: false },
    };
    const { out, exitCode } = await say("usage", "dead", "replay", "--day", "2026-11-24");
    expect(out).toBe("Counted: 3; there is more, say it again.\nm-2 still can't be: malformed.\n");
    expect(exitCode).toBe(1);
    expect(control.seen[0]).toMatchObject({
      body: { day: "2026-11-24" },
      headers: { "if-match": "*" },
    });
  });

  it("can be tried", async () => {
    control.answers["POST /v1/usage/dead/replay?dry-run=true"] = {
      body: { replayed: 3, left: [], isWhole: true },
    };
    const { out, exitCode } = await say("usage", "dead", "replay", "--dry-run");
    expect([out, exitCode]).toEqual(["Would be counted again: 3.\n", 0]);
  });

  it.each([
    ["usage dead", '"usage dead" is half a command.'],
    ["usage dead lst", 'There is no command "usage dead lst". Did you mean "usage dead list"?'],
  ])("is not `%s`", async (words, problem) => {
    const { err, exitCode } = await say(...words.split(" "));
    expect(err).toContain(problem);
    expect(exitCode).toBe(2);
  });

  it("leaves `usage` its own words", async () => {
    expect((await say("usage", "--help")).out).toContain("usage <account>");
    await say("usage", "acc_a", "--from", "2026-11", "--to", "2026-11");
    expect(control.seen[0]?.request).toMatch(/^GET \/v1\/accounts\/acc_a\/usage\?/);
  });
});

describe("amounts that look like a slip", () => {
  it.each([
    [["credit", "acc_a", "2000000", "--force"], "POST /v1/accounts/acc_a/credits?force=true"],
    [["price", "add", "p", "m", "--request", "20000", "--force"], "POST /v1/prices?force=true"],
  ])("are meant with --force: %j", async (words, request) => {
    await say(...words);
    expect(control.seen[0]?.request).toBe(request);
  });
});
