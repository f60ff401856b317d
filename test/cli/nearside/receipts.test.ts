import { writeFile } from "node:fs/promises";
import path from "node:path";

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type Receipt,
  type ReceiptKey,
  ReceiptSigner,
  digestOf,
  generateReceiptKey,
  publicKeys,
} from "../../../src/billing/receipt.ts";
import type { AccountStatement } from "../../../src/cli/nearside/billing-schemas.ts";
import { compare, receiptsIn } from "../../../src/cli/nearside/receipts.ts";
import { sayTo, type TemporaryFolder, temporaryFolder } from "../support.ts";
import { recordingControl } from "./recording-control.ts";

const edge = recordingControl();
let temporary: TemporaryFolder;
let key: ReceiptKey;
let signer: ReceiptSigner;
beforeAll(async () => {
  temporary = await temporaryFolder();
  key = await generateReceiptKey("k1");
  signer = await ReceiptSigner.of([key], Date.now());
});
afterAll(() => temporary.remove());

const DIGEST = "ab".repeat(32);

const receiptOf = (overrides: Partial<Receipt> = {}): Receipt => ({
  requestId: "req-1",
  event: "event-1",
  at: "2026-11-24T22:00:00.000Z",
  account: "acc_a",
  model: "minilm",
  version: 3,
  manifest: DIGEST,
  placement: "edge",
  units: { tokens: 5 },
  price: "p1",
  amount: 100,
  currency: "USD",
  requestDigest: DIGEST,
  responseDigest: DIGEST,
  ...overrides,
});

/** The statement that receipts of one account and month should add up to. */
function statementOf(receipts: readonly Receipt[]): AccountStatement {
  const amount = receipts.reduce((sum, receipt) => sum + receipt.amount, 0);
  return {
    account: "acc_a",
    from: "2026-11-01T00:00:00.000Z",
    to: "2026-12-01T00:00:00.000Z",
    opening: 0,
    usage: amount,
    allowance: 0,
    volume: 0,
    repeat: 0,
    credit: 0,
    refund: 0,
    adjustment: 0,
    closing: -amount,
    lines: receipts.map(({ model, version, placement, units, amount: each }) => ({
      model,
      version,
      key: "key_a",
      placement,
      requests: 1,
      units,
      amount: each,
    })),
    entries: [],
  };
}

async function verify(input: string, ...words: string[]) {
  edge.answers["GET /.well-known/jwks.json"] = { body: publicKeys([key]) };
  const control = { NEARSIDE_CONTROL_URL: edge.url, NEARSIDE_ADMIN_TOKEN: "secret" };
  return sayTo(control, ["receipt", "verify", "-", ...words], {
    input: async () => input,
    edge: async () => edge.url,
  });
}

async function file(name: string, content: unknown): Promise<string> {
  const place = path.join(temporary.folder, name);
  await writeFile(place, typeof content === "string" ? content : JSON.stringify(content));
  return place;
}

describe("nearside receipt verify", () => {
  it("asks the edge for its keys, and shows what a receipt says", async () => {
    const jws = await signer.sign(receiptOf());
    const { out, err, exitCode } = await verify(`HTTP/1.1 200 OK\r\nNearside-Receipt: ${jws}\r\n`);
    expect([err, exitCode]).toEqual(["", 0]);
    expect(out).toContain(
      "  model    minilm 3 (abababababab…), at the edge\n  units    5 tokens\n",
    );
    expect(out).toContain("  amount   $0.0000001 (price p1)\nThe receipt holds.\n");
    expect(edge.seen.map(({ request }) => request)).toEqual(["GET /.well-known/jwks.json"]);
  });

  it("takes keys from a file, and asks nobody then", async () => {
    const jwks = await file("jwks.json", publicKeys([key]));
    const { exitCode } = await verify(await signer.sign(receiptOf()), "--jwks", jwks);
    expect([exitCode, edge.seen]).toEqual([0, []]);
  });

  it("ties receipts to the events that the ledger has billed", async () => {
    const receipts = [
      receiptOf(),
      receiptOf({ event: "event-2" }),
      receiptOf({ event: "event-3", account: "acc_b" }),
      receiptOf({ event: "event-4" }),
      receiptOf({ event: "event-5" }),
    ];
    const lines = await Promise.all(receipts.map((receipt) => signer.sign(receipt)));
    const digests = await Promise.all(lines.map((line) => digestOf(line)));
    const events = "GET /v1/accounts/acc_a/events";
    const event = (index: number, more: object = {}) => ({
      body: { id: `event-${index + 1}`, amount: 100, receipt: digests[index], ...more },
    });
    const missing = { status: 404, body: { code: "route_not_found", detail: "no event" } };
    edge.answers[`${events}/event-1`] = event(0);
    edge.answers[`${events}/event-2`] = event(1, { receipt: DIGEST });
    edge.answers[`${events}/event-4`] = missing;
    edge.answers[`${events}/event-5`] = event(4, { amount: 30 });
    const { out, exitCode } = await verify(lines.join("\n"), "--account", "acc_a");
    expect(out).toContain(
      "Receipt 2 (req-1) does not hold: its event was billed with another receipt.",
    );
    expect(out).toContain("Receipt 3 (req-1) does not hold: it is of acc_b, not of acc_a.");
    expect(out).toContain("Receipt 4 (req-1) does not hold: the ledger has no such event");
    expect(out).toContain("Receipt 5 (req-1) does not hold: its event was billed at $0.00000003.");
    expect(out).toContain("1 of 5 receipts hold");
    expect(exitCode).toBe(1);
    const alone = await verify(lines[0] ?? "", "--account", "acc_a");
    expect(alone).toMatchObject({ exitCode: 0 });
  });

  it("finds a receipt that was altered", async () => {
    const jws = await signer.sign(receiptOf());
    const other = (await signer.sign(receiptOf({ amount: 1 }))).split(".")[1] ?? "";
    const forged = jws.replace(/\.[^.]+\./, `.${other}.`);
    const { out, exitCode } = await verify(forged);
    expect(out).toBe(
      "The receipt does not hold: its signature is not of what it says.\nThe receipt does not hold.\n",
    );
    expect(exitCode).toBe(1);
  });

  it("finds a receipt that somebody else signed, and what is none", async () => {
    const stranger = await ReceiptSigner.of([await generateReceiptKey("k2")], Date.now());
    const lines = [await stranger.sign(receiptOf()), "nonsense"];
    const { out, exitCode } = await verify(lines.join("\n"));
    expect(out).toContain("Receipt 1 does not hold: it is signed by a key that is not among those");
    expect(out).toContain("Receipt 2 does not hold: it is no signed receipt.");
    expect(out).toContain("0 of 2 receipts hold; not everything does: $0.00.");
    expect(exitCode).toBe(1);
  });

  it("counts a receipt that is shown again once", async () => {
    const jws = await signer.sign(receiptOf());
    const { out, exitCode } = await verify(`${jws}\n${jws}\n`, "--json");
    expect(JSON.parse(out)).toMatchObject({
      holds: false,
      good: 1,
      amount: 100,
      receipts: [{ ok: true }, { ok: false, problem: "it is there twice" }],
    });
    expect(exitCode).toBe(1);
  });

  it.each([
    [[1, 2], [1, 2], 0, "They are all of the statement's usage, to the nano-dollar."],
    [[1], [1, 2], 0, "The statement has billed that much, and more"],
    [[1, 2], [1], 1, "minilm 3 at the edge: receipts of 2 requests, 1 billed"],
  ])("holds %j against a statement of %j", async (shown, billed, code, sentence) => {
    const receipts = (numbers: number[]) =>
      numbers.map((number) => receiptOf({ event: `event-${number}`, requestId: `req-${number}` }));
    const statement = await file("statement.json", statementOf(receipts(billed)));
    const signed = await Promise.all(receipts(shown).map((receipt) => signer.sign(receipt)));
    const { out, exitCode } = await verify(signed.join("\n"), "--statement", statement);
    expect(out).toContain(sentence);
    expect(exitCode).toBe(code);
  });

  it.each([
    ["the account", { account: "acc_b" }, "it is of acc_b, the statement of acc_a"],
    ["the time", { at: "2026-12-01T00:00:00.000Z" }, "which the statement does not cover"],
    ["the amount", { amount: 101 }, "receipts of $0.000000101, $0.0000001 billed"],
    ["a unit", { units: { tokens: 6 } }, "receipts of 6 tokens, 5 billed"],
    ["the version", { version: 4 }, "minilm 4 at the edge: receipts of 1 requests, 0 billed"],
  ])("finds a statement that differs in %s", async (_, overrides, problem) => {
    const statement = await file("statement.json", statementOf([receiptOf()]));
    const jws = await signer.sign(receiptOf(overrides));
    const { out, exitCode } = await verify(jws, "--statement", statement);
    expect(out).toContain(problem);
    expect(exitCode).toBe(1);
  });

  it.each([
    ["no receipt", "\n", [], "The standard input has no receipt."],
    ["no keys", "x", ["--jwks", "{}"], "is no JWKS"],
    ["no statement", "x", ["--statement", "{}"], "is no statement: what `npx nearside statement"],
  ])("names what is %s", async (_, input, [option, content], message) => {
    const place = content === undefined ? undefined : await file("other.json", content);
    const words = option === undefined || place === undefined ? [] : [option, place];
    const { err, exitCode } = await verify(input, ...words);
    expect(err).toContain(message);
    expect(exitCode).toBe(1);
  });

  it("names an edge that has no keys", async () => {
    const jwks = `${edge.url}/none`;
    const { err } = await verify("x", "--jwks", jwks);
    expect(err).toBe(`${jwks} answered with status 404.\n`);
  });
});

describe("receipts in a text", () => {
  it.each([
    ["found alone", "a.b.c\n", ["a.b.c"]],
    ["found one a line", "a.b.c\r\n\r\nd.e.f", ["a.b.c", "d.e.f"]],
    ["found in headers", "HTTP/2 200\nnearside-receipt: a.b.c\ncontent-type: text", ["a.b.c"]],
    ["found in verbose headers", "< Nearside-Receipt: a.b.c", ["a.b.c"]],
    ["not in an answer without one", "HTTP/1.1 401 Unauthorized\r\n\r\n{}", []],
    ["found in a stream", "data: x\n\n: nearside-receipt a.b.c\n\ndata: [DONE]\n", ["a.b.c"]],
  ])("are %s", (_, text, receipts) => expect(receiptsIn(text)).toEqual(receipts));
});

describe("a comparison", () => {
  const receipt = fc
    .record({
      model: fc.constantFrom("minilm", "iris"),
      version: fc.integer({ min: 1, max: 2 }),
      placement: fc.constantFrom("edge" as const, "origin" as const),
      amount: fc.nat(1_000),
      units: fc.record({ tokens: fc.nat(9) }),
    })
    .map(receiptOf);

  it("finds all of a statement's receipts whole, and all but one of them short", () => {
    fc.assert(
      fc.property(fc.array(receipt, { minLength: 1, maxLength: 20 }), fc.nat(), (all, seed) => {
        const statement = statementOf(all);
        expect(compare(all, statement)).toEqual({ problems: [], isWhole: true });
        const fewer = all.toSpliced(seed % all.length, 1);
        expect(compare(fewer, statement)).toEqual({ problems: [], isWhole: false });
        expect(compare(all, statementOf(fewer)).problems).not.toEqual([]);
      }),
    );
  });
});
