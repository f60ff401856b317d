import { describe, expect, it } from "vitest";

import { sayTo } from "../support.ts";
import { recordingControl } from "./recording-control.ts";

const control = recordingControl();

const ID = "acc_ofsrfkq7enqxcgbu";
const PATH = `/v1/accounts/${ID}`;
const ACCOUNT = {
  id: ID,
  name: "Ada Ltd",
  plan: "pay",
  currency: "USD",
  billing: "prepaid",
  limits: { monthNano: 500_000_000_000 },
  status: "active",
  exports: [],
};
const STANDING = {
  balance: 24_999_999_988,
  outstanding: 1_000_000_000,
  spentToday: 12,
  spentThisMonth: 12,
};
const KEY_ID = "key_3xkpb5v2qfqtd7aa";
const SECRET = "nsk_live_0123456789abcdefghijklmnopqr";
const KEY = {
  id: KEY_ID,
  account: ID,
  name: "backend",
  kind: "live",
  display: "nsk_live_01…qr",
  scopes: ["predict", "models"],
  createdAt: Date.parse("2026-11-01T00:00:00Z"),
};

const ENV = () => ({ NEARSIDE_CONTROL_URL: control.url, NEARSIDE_ADMIN_TOKEN: "secret" });

async function done(...words: string[]): Promise<string> {
  const { out, err, exitCode } = await sayTo(ENV(), words);
  expect([exitCode, err]).toEqual([0, ""]);
  return out;
}

const bodyOf = (request: string): unknown =>
  control.seen.find((one) => one.request === request)?.body;

describe("nearside account create", () => {
  it("makes a prepaid account, and says what comes next", async () => {
    control.answers["POST /v1/accounts"] = { status: 201, body: ACCOUNT };
    const out = await done("account", "create", "Ada Ltd");
    expect(control.seen[0]?.headers["if-none-match"]).toBe("*");
    expect(control.seen[0]?.body).toEqual({
      name: "Ada Ltd",
      plan: "pay",
      billing: "prepaid",
      limits: {},
    });
    expect(out).toContain(`${ID}: Ada Ltd\n  plan        pay, prepaid\n`);
    expect(out).toContain(`npx nearside credit ${ID} 25\n`);
    expect(out).toContain(`npx nearside key create ${ID} <name>\n`);
  });

  it("sends dollars as whole nano-dollars", async () => {
    const dry = "POST /v1/accounts?dry-run=true";
    control.answers[dry] = { body: ACCOUNT };
    const options = "--plan free --billing postpaid --day-limit 0.1 --month-limit 9.000000001";
    const more = "--grace 0.000000007 --models minilm,iris --dry-run";
    const out = await done("account", "create", "trial", ...`${options} ${more}`.split(" "));
    expect(bodyOf(dry)).toEqual({
      name: "trial",
      plan: "free",
      billing: "postpaid",
      limits: { dayNano: 100_000_000, monthNano: 9_000_000_001 },
      grace: { nano: 7 },
      models: ["minilm", "iris"],
    });
    expect(out).toMatch(/^This would be made \(--dry-run; nothing is done\):\n/);
  });
});

describe("nearside account", () => {
  it("lists accounts", async () => {
    control.answers["GET /v1/accounts"] = { body: [ACCOUNT] };
    expect(await done("account", "list")).toBe(
      `account               name     plan  billing  status\n${ID}  Ada Ltd  pay   prepaid  active\n`,
    );
    control.answers["GET /v1/accounts"] = { body: [] };
    expect(await done("account", "list")).toContain("`npx nearside account create <name>`");
  });

  it("shows an account with its balance to the nano-dollar", async () => {
    control.answers[`GET ${PATH}`] = { body: ACCOUNT };
    control.answers[`GET ${PATH}/balance`] = { body: STANDING };
    expect(await done("account", "show", ID)).toBe(
      `${ID}: Ada Ltd
  plan        pay, prepaid
  status      active
  balance     $24.999999988, of which $1.00 are lent to isolates
  today       $0.000000012 spent, no limit
  this month  $0.000000012 spent, up to $500.00
  models      all
  grace       as its plan has it
`,
    );
    expect(JSON.parse(await done("account", "show", ID, "--json"))).toEqual({
      ...ACCOUNT,
      standing: STANDING,
    });
  });

  it("shows what is set from a document", async () => {
    const more = {
      grace: { nano: 7 },
      models: ["iris"],
      signers: [{ kid: "k1", jwk: {} }],
      exports: [{ kind: "stripe", customer: "cus_1" }, { kind: "cloudevents" }],
    };
    control.answers[`GET ${PATH}`] = { body: { ...ACCOUNT, ...more } };
    control.answers[`GET ${PATH}/balance`] = { body: STANDING };
    expect(await done("account", "show", ID)).toContain(
      `  models      iris
  grace       $0.000000007 in each isolate
  signers     k1
  exports     stripe, cloudevents
`,
    );
  });

  it("names the command that lists accounts when there is no such account", async () => {
    control.answers[`GET ${PATH}`] = {
      status: 404,
      body: { code: "route_not_found", field: "account", detail: "There is no such account." },
    };
    const { err, exitCode } = await sayTo(ENV(), ["account", "show", ID]);
    expect([err, exitCode]).toEqual([
      "There is no such account.\n`npx nearside account list` lists them.\n",
      1,
    ]);
  });
});

describe("nearside account set", () => {
  const set = async (words: string, input = "") => {
    control.answers[`GET ${PATH}`] = { etag: '"one"', body: ACCOUNT };
    control.answers[`PUT ${PATH}`] = { body: ACCOUNT };
    const say = ["account", "set", ID, ...words.split(" ")];
    const { err, exitCode } = await sayTo(ENV(), say, { input: async () => input });
    expect([err, exitCode]).toEqual(["", 0]);
    const put = control.seen.find(({ request }) => request === `PUT ${PATH}`);
    expect(put?.headers["if-match"]).toBe('"one"');
    return put?.body;
  };

  it.each([
    ["--suspend", { status: "suspended" }],
    ["--resume", { status: "active" }],
    ["--day-limit 1", { limits: { monthNano: 500_000_000_000, dayNano: 1_000_000_000 } }],
    ["--month-limit off", { limits: {} }],
    ["--name Ada --models iris", { name: "Ada", models: ["iris"] }],
    ["--plan enterprise --grace 1", { plan: "enterprise", grace: { nano: 1_000_000_000 } }],
  ])("%s changes that and nothing else", async (words, changed) => {
    expect(await set(words)).toEqual({ ...ACCOUNT, ...changed });
  });

  it("takes other fields from a document, and null removes one", async () => {
    const document = { signers: [{ kid: "k1" }], exports: null };
    const { exports: _, ...rest } = ACCOUNT;
    expect(await set("- --suspend", JSON.stringify(document))).toEqual({
      ...rest,
      signers: [{ kid: "k1" }],
      status: "suspended",
    });
  });
});

describe("nearside key", () => {
  it("create prints the key once, and says so", async () => {
    control.answers[`POST ${PATH}/keys`] = { status: 201, body: { ...KEY, key: SECRET } };
    const out = await done("key", "create", ID, "backend");
    expect(control.seen[0]?.body).toEqual({
      name: "backend",
      kind: "live",
      scopes: ["predict", "models"],
    });
    expect(out.split(SECRET)).toHaveLength(2);
    expect(out).toContain("It is shown this once and stored nowhere: keep it now.");
    expect(out).toContain("Authorization: Bearer <key>");
  });

  it("create sends what bounds the key", async () => {
    control.answers[`POST ${PATH}/keys`] = { body: { ...KEY, key: SECRET } };
    const bounds = "--scopes usage --models iris --origins https://a.test,https://*.b.test --test";
    const words = `key create ${ID} web ${bounds} --expires 2999-01-01`;
    await done(...words.split(" "));
    expect(control.seen[0]?.body).toEqual({
      name: "web",
      kind: "test",
      scopes: ["usage"],
      models: ["iris"],
      origins: ["https://a.test", "https://*.b.test"],
      expiresAt: Date.parse("2999-01-01T00:00:00Z"),
    });
  });

  it("create takes days from now", async () => {
    control.answers[`POST ${PATH}/keys`] = { body: { ...KEY, key: SECRET } };
    const before = Date.now();
    await done("key", "create", ID, "web", "--expires", "30d");
    const [made] = control.seen.map(({ body }) => (body as { expiresAt: number }).expiresAt);
    const from = (made ?? 0) - 30 * 86_400_000;
    expect([from >= before, from <= Date.now()]).toEqual([true, true]);
  });

  it("create shows no key where none was made", async () => {
    control.answers[`POST ${PATH}/keys?dry-run=true`] = { body: KEY };
    expect(await done("key", "create", ID, "backend", "--dry-run")).toBe(
      `This would be made (--dry-run; nothing is done): ${KEY_ID} "backend" (predict, models)\n`,
    );
  });

  it("rotate lets both work for a day, or as long as it is told", async () => {
    const path = `POST ${PATH}/keys/${KEY_ID}/rotate`;
    control.answers[path] = { body: { ...KEY, id: "key_new", key: SECRET } };
    expect(await done("key", "rotate", ID, KEY_ID)).toContain(`The old one, ${KEY_ID}, works`);
    await done("key", "rotate", ID, KEY_ID, "--overlap", "0");
    expect(control.seen.map(({ body }) => body)).toEqual([
      { overlapSeconds: 86_400 },
      { overlapSeconds: 0 },
    ]);
  });

  it("revoke ends a key whatever it has become, and says when that is true everywhere", async () => {
    control.answers[`DELETE ${PATH}/keys/${KEY_ID}`] = { body: { ...KEY, revokedAt: 1 } };
    expect(await done("key", "revoke", ID, KEY_ID)).toBe(
      `Revoked: ${KEY_ID} "backend". Every isolate refuses it within 90 seconds.\n`,
    );
    expect(control.seen[0]?.headers["if-match"]).toBe("*");
  });

  it("list tells which keys work", async () => {
    const now = Date.now();
    control.answers[`GET ${PATH}/keys`] = {
      body: [
        KEY,
        { ...KEY, id: "b", revokedAt: 1 },
        { ...KEY, id: "c", expiresAt: 1 },
        { ...KEY, id: "d", expiresAt: now + 60_000, models: ["iris"] },
        { ...KEY, id: "e", replacedBy: "f", overlapUntil: now + 60_000 },
        { ...KEY, id: "g", replacedBy: "h", overlapUntil: 1 },
      ],
    };
    const lines = (await done("key", "list", ID)).trimEnd().split("\n");
    const states = lines.slice(1).map((line) => line.split(/ {2,}/).at(-1));
    expect(states).toEqual([
      "works",
      expect.stringMatching(/^revoked 1970-/),
      expect.stringMatching(/^expired 1970-/),
      expect.stringMatching(/^works until \S+ \S+$/),
      expect.stringMatching(/^works until \S+ \S+, then f$/),
      "replaced by h",
    ]);
    expect(lines[1]).toContain("nsk_live_01…qr  predict,models  all");
  });
});

describe("nearside credit", () => {
  const path = `POST ${PATH}/credits`;
  it.each([
    ["25 --id payment-1 --note paid", "credit", 25_000_000_000, "credit of $25.00 (payment-1)"],
    ["0.000000001 --refund --id r1", "refund", 1, "refund of $0.000000001 (r1)"],
    ["-4 --adjust --id a1", "adjustment", -4_000_000_000, "adjustment of -$4.00 (a1)"],
  ])("%s enters that", async (words, kind, amountNano, sentence) => {
    control.answers[path] = { body: { id: "x", entered: true, balance: -5 } };
    const out = await done("credit", ID, ...words.split(" "));
    expect(control.seen[0]?.body).toMatchObject({ kind, amountNano });
    expect(out).toBe(`Entered: ${sentence}. The balance is -$0.000000005.\n`);
  });

  it("makes an id of its own, another one each time", async () => {
    control.answers[path] = { body: { id: "x", entered: true, balance: 0 } };
    await done("credit", ID, "1");
    await done("credit", ID, "1");
    const ids = control.seen.map(({ body }) => (body as { id: string }).id);
    expect(new Set(ids).size).toBe(2);
  });

  it("says that an id was entered before", async () => {
    control.answers[path] = { body: { id: "x", entered: false, balance: 0 } };
    expect(await done("credit", ID, "1", "--id", "x")).toMatch(/^Entered before, and not again/);
  });

  it("names the id to say it again with when there is no answer", async () => {
    control.answers[path] = { status: 502, body: "<html>" };
    const { err, exitCode } = await sayTo(ENV(), ["credit", ID, "1"]);
    const [id = ""] = control.seen.map(({ body }) => (body as { id: string }).id);
    expect(err).toContain(`Say it again with --id ${id}: that enters it once.`);
    expect(exitCode).toBe(1);
  });

  it("does not ask to say again what was refused", async () => {
    control.answers[path] = { status: 422, body: { code: "invalid_change", detail: "No." } };
    const { err } = await sayTo(ENV(), ["credit", ID, "1"]);
    expect(err).toBe("No.\n");
  });
});
