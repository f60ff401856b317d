import { describe, expect, it } from "vitest";

import { sayTo } from "../support.ts";
import { recordingControl } from "./recording-control.ts";

const control = recordingControl();

const say = (...words: string[]) =>
  sayTo({ NEARSIDE_CONTROL_URL: control.url, NEARSIDE_ADMIN_TOKEN: "secret" }, words);

const PRICE = {
  id: "embed-2",
  model: "minilm",
  version: 3,
  placement: "origin",
  perRequest: 0,
  perUnit: { tokens: 20 },
  free: { tokens: 1_000_000 },
  tiers: { tokens: [{ above: 50_000_000, perUnit: 10 }] },
  from: "2027-01-01T00:00:00.000Z",
};

describe("nearside price add", () => {
  it("sends every part in whole nano-dollars", async () => {
    const options =
      "--unit tokens=0.00000002 --free tokens=1000000 --tier tokens:50000000=0.00000001 --version 3 --placement origin --from 2027-01-01";
    control.answers["POST /v1/prices"] = {
      body: { catalog: 7, changes: [{ field: "prices[0]", after: {} }] },
    };
    const { out, err } = await say("price", "add", "embed-2", "minilm", ...options.split(" "));
    expect(err).toBe("");
    expect(control.seen[0]?.body).toEqual(PRICE);
    expect(control.seen[0]?.headers["if-none-match"]).toBe("*");
    expect(out).toContain(
      "embed-2: minilm version 3 at the origin costs $0.00000002 per unit of tokens, ",
    );
    expect(out).toContain("Changed; this is catalog 7:");
  });

  it("never takes the place of another one under the same id", async () => {
    control.answers["POST /v1/prices"] = {
      status: 412,
      body: { code: "precondition_failed", detail: "There is a price already." },
    };
    const { err, exitCode } = await say("price", "add", "x", "minilm");
    expect(err).toBe(
      'There is a price "x" already, and a price never changes: give the new one another id.\n',
    );
    expect(exitCode).toBe(1);
  });

  it("is in effect now where nothing else is said, and for every model with *", async () => {
    control.answers["POST /v1/prices?dry-run=true"] = {};
    const before = new Date().toISOString();
    await say("price", "add", "all", "*", "--request", "0.00001", "--dry-run");
    const body = control.seen[0]?.body as { from: string };
    expect(body).toEqual({
      id: "all",
      model: "*",
      perRequest: 10_000,
      perUnit: {},
      from: expect.any(String),
    });
    expect(body.from >= before && body.from <= new Date().toISOString()).toBe(true);
  });

  it.each([
    ["x minilm --unit tokens", "--unit looks like tokens=…"],
    ["x minilm --unit tokens=1e-9", '--unit is "1e-9", which is not dollars'],
    ["x minilm --request -1", "can't be below zero"],
    ["x minilm --request 99999999999", "more than can be counted"],
    ["x minilm --tier tokens=1", "--tier <above> takes a whole number"],
    ["x minilm --tier tokens:5=1", "must have a price"],
    ["x minilm --unit tokens=1 --tier tokens:5=2", "up in units and down in price"],
    ["x minilm --free tokens=1.5", "--free takes a whole number"],
    ["X minilm", "This is no price: id must be a price's id."],
    ["x minilm --placement moon", "This is no price: placement"],
    ["x minilm --from tomorrow", "--from takes a time of UTC"],
    ["x minilm --from 2027-02-30", "--from takes a time of UTC"],
  ])("%s is refused before anything is sent", async (words, message) => {
    const { err, exitCode } = await say("price", "add", ...words.split(" "));
    expect(err).toContain(message);
    expect([exitCode, control.seen]).toEqual([2, []]);
  });
});

describe("nearside price list", () => {
  it("says what each costs, for what, and from when", async () => {
    const plain = { id: "all", model: "*", perRequest: 10_000, perUnit: {}, from: PRICE.from };
    const free = {
      ...plain,
      id: "none",
      model: "iris",
      perRequest: 0,
      from: "2027-01-01T12:00:00Z",
    };
    control.answers["GET /v1/prices"] = { body: [PRICE, plain, free] };
    const { out } = await say("price", "list");
    expect(out).toBe(
      `price    for                             from (UTC)            costs
embed-2  minilm version 3 at the origin  2027-01-01            $0.00000002 per unit of tokens, the first 1000000 free, above 50000000 $0.00000001
all      every model                     2027-01-01            $0.00001 per request
none     iris                            2027-01-01T12:00:00Z  nothing
`,
    );
  });

  it("says that everything is free where there is none", async () => {
    control.answers["GET /v1/prices"] = { body: [] };
    expect((await say("price", "list")).out).toContain("every model costs nothing");
  });
});
