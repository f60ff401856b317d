import { readFile } from "node:fs/promises";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { sayTo, type TemporaryFolder, temporaryFolder } from "../support.ts";
import { recordingControl } from "./recording-control.ts";

const control = recordingControl();
let temporary: TemporaryFolder;
beforeAll(async () => void (temporary = await temporaryFolder()));
afterAll(() => temporary.remove());

const say = (...words: string[]) =>
  sayTo({ NEARSIDE_CONTROL_URL: control.url, NEARSIDE_ADMIN_TOKEN: "secret" }, words);

const ID = "acc_ofsrfkq7enqxcgbu";
const NOVEMBER = "from=2026-11-01T00%3A00%3A00.000Z&to=2026-12-01T00%3A00%3A00.000Z";
const STATEMENT = `GET /v1/accounts/${ID}/statement?${NOVEMBER}`;

const statement = {
  account: ID,
  currency: "USD",
  from: "2026-11-01T00:00:00.000Z",
  to: "2026-12-01T00:00:00.000Z",
  opening: 0,
  usage: 120,
  allowance: 20,
  volume: 0,
  repeat: 0,
  credit: 25_000_000_000,
  refund: 0,
  adjustment: -1,
  closing: 24_999_999_899,
  lines: [
    {
      model: "minilm",
      version: 3,
      key: "key_3xkpb5v2qfqtd7aa",
      placement: "edge",
      requests: 2,
      units: { tokens: 6 },
      amount: 120,
      allowance: 20,
      volume: 0,
      repeated: 0,
    },
  ],
  entries: [
    { id: "credit:1", kind: "credit", at: 1, recorded: 1, seq: 1, amount: 25e9, note: "by card" },
  ],
};

describe("nearside statement", () => {
  it("shows what adds up to the closing balance", async () => {
    control.answers[STATEMENT] = { body: statement };
    const { out, err } = await say("statement", ID, "--month", "2026-11");
    expect(err).toBe("");
    expect(out).toContain(`${ID}, 2026-11-01T00:00:00.000Z up to 2026-12-01T00:00:00.000Z
  opening balance   $0.00
  usage             -$0.00000012
  free units        $0.00000002
  volume discount   $0.00
  retried requests  $0.00
  payments          $25.00
  refunds           $0.00
  adjustments       -$0.000000001
  closing balance   $24.999999899
`);
    expect(out).toContain(
      "  minilm  3        key_3xkpb5v2qfqtd7aa  edge       2         6 tokens  $0.00000012\n",
    );
    expect(out).toContain("  credit  $25.00  by card\n");
  });

  it.each([
    ["csv", "text/csv", "type,at\r\nopening,1\r\n"],
    ["html", "text/html", "<!doctype html>\n"],
    ["json", "application/json", `${JSON.stringify(statement, null, 2)}\n`],
  ])("of the format %s is what the control plane writes", async (format, mediaType, body) => {
    control.answers[STATEMENT] = { body };
    const words = ["statement", ID, "--month", "2026-11"];
    expect((await say(...words, "--format", format)).out).toBe(`${body.trimEnd()}\n`);
    const file = path.join(temporary.folder, `november.${format}`);
    expect((await say(...words, "--out", file)).out).toBe(`Written: ${file} (${format})\n`);
    expect(await readFile(file, "utf8")).toBe(body);
    expect(control.seen.map(({ headers }) => headers.accept)).toEqual([mediaType, mediaType]);
  });

  it("is one JSON document with --json, and tells of its file with --out", async () => {
    control.answers[STATEMENT] = { body: statement };
    const words = ["statement", ID, "--month", "2026-11", "--json"];
    expect(JSON.parse((await say(...words)).out)).toEqual(statement);
    const file = path.join(temporary.folder, "table.txt");
    expect(JSON.parse((await say(...words, "--out", file)).out)).toMatchObject({
      file,
      format: "table",
    });
    expect(await readFile(file, "utf8")).toContain("closing balance");
  });

  it("names a file that can't be written", async () => {
    control.answers[STATEMENT] = { body: statement };
    const file = path.join(temporary.folder, "none", "x.json");
    const { err } = await say("statement", ID, "--month", "2026-11", "--out", file);
    expect(err).toContain(`${file} can't be written`);
  });

  it("refuses a format that there is not", async () => {
    const { err, exitCode } = await say("statement", ID, "--format", "pdf");
    expect([err, exitCode]).toEqual(['--format takes table, json, csv or html, not "pdf".\n', 2]);
  });

  it("names an answer that is no statement", async () => {
    control.answers[STATEMENT] = { body: {} };
    const { err } = await say("statement", ID, "--month", "2026-11");
    expect(err).toContain("does not answer as this version of Nearside expects");
  });
});

describe("nearside usage", () => {
  const rows = [
    {
      day: "2026-10-02",
      model: "minilm",
      requests: 3,
      units: { tokens: 5, bytes: 7 },
      amount: 100,
      allowance: 60,
      volume: 10,
      repeated: 5,
    },
    {
      day: "2026-10-03",
      model: "iris",
      requests: 1,
      units: {},
      amount: 0,
      allowance: 0,
      volume: 0,
      repeated: 0,
    },
  ];

  it("sums up by what it is told, and shows what is left to pay", async () => {
    const query = "from=2026-10-01T00%3A00%3A00.000Z&to=2026-11-01T00%3A00%3A00.000Z";
    control.answers[`GET /v1/accounts/${ID}/usage?${query}&by=day%2Cmodel`] = { body: { rows } };
    const words = "--from 2026-10 --to 2026-10 --by model,day".split(" ");
    expect((await say("usage", ID, ...words)).out).toBe(
      `day         model   requests  units              list price  taken off     cost
2026-10-02  minilm  3         5 tokens, 7 bytes  $0.0000001  $0.000000075  $0.000000025
2026-10-03  iris    1         -                  $0.00       $0.00         $0.00
`,
    );
  });

  it("is by model and of this month where nothing else is said", async () => {
    await say("usage", ID);
    const month = new Date().toISOString().slice(0, 7);
    expect(control.seen[0]?.request).toMatch(
      new RegExp(`^GET /v1/accounts/${ID}/usage\\?from=${month}-01T.*&by=model$`),
    );
  });

  it("refuses to sum up by what it does not know", async () => {
    const { err, exitCode } = await say("usage", ID, "--by", "model,colour");
    expect(err).toContain("--by takes day, model, version, key, placement");
    expect(exitCode).toBe(2);
  });

  it("says that there was none", async () => {
    const query = "from=2026-10-01T00%3A00%3A00.000Z&to=2026-11-01T00%3A00%3A00.000Z&by=model";
    control.answers[`GET /v1/accounts/${ID}/usage?${query}`] = { body: { rows: [] } };
    const { out } = await say("usage", ID, "--from", "2026-10", "--to", "2026-10");
    expect(out).toMatch(/^Nothing was used from 2026-10-01/);
  });
});
