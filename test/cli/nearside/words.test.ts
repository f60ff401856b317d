import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { COMMANDS } from "../../../src/cli/nearside/commands.ts";
import { editDistance, nearest } from "../../../src/cli/nearside/nearest.ts";
import { table } from "../../../src/cli/nearside/table.ts";
import { MemoryBucket, MemoryNamespace } from "../../support/memory-bucket.ts";
import { say, sayJson } from "../support.ts";

const store = { bucket: new MemoryBucket(), namespace: new MemoryNamespace() };
const NAMES = Object.keys(COMMANDS);

describe("help", () => {
  it.each(["--help", "-h"])("%s lists every command with its summary", async (flag) => {
    const { out, err, exitCode, opened } = await say(store, flag);
    for (const load of Object.values(COMMANDS)) expect(out).toContain((await load()).summary);
    for (const name of NAMES) expect(out).toMatch(new RegExp(`^  ${name}   `, "m"));
    expect(out).toContain("Examples:");
    expect([err, exitCode, opened]).toEqual(["", 0, 0]);
  });

  it.each(NAMES)("of `%s` teaches its usage, its options and examples", async (name) => {
    const { out, err, exitCode, opened } = await say(store, ...name.split(" "), "--help");
    const command = await COMMANDS[name]?.();
    expect(out).toContain(`Usage: nearside ${command?.usage}`);
    for (const option of ["json", "remote", "help", ...Object.keys(command?.options ?? {})]) {
      expect(out).toContain(`--${option}`);
    }
    expect(out).toContain(`nearside ${name}`);
    expect([err, exitCode, opened]).toEqual(["", 0, 0]);
  });

  it.each([[[]], ...NAMES.map((name) => [name.split(" ")])])(
    "of %j is one JSON document with --json",
    async (words) => {
      const { value, err, exitCode } = await sayJson(store, ...words, "--help");
      expect(value).toMatchObject({ help: expect.stringContaining("Usage: nearside") });
      expect([err, exitCode]).toEqual(["", 0]);
    },
  );

  it.each(["flag", "rollout", "catalog", "account", "key", "price", "receipt"])(
    "of `%s` lists what may follow",
    async (family) => {
      const { out, err, exitCode } = await say(store, family, "--help");
      for (const name of NAMES) {
        expect(out.includes(`  ${name} `)).toBe(name.startsWith(`${family} `));
      }
      expect([err, exitCode]).toEqual(["", 0]);
    },
  );

  it("asked for beside words that are missing still helps", async () => {
    expect(await say(store, "verify", "-h")).toMatchObject({ exitCode: 0 });
  });
});

const NONSENSE: [string, string][] = [
  ["", "There is no command."],
  ["modles", 'There is no command "modles". Did you mean "models"?'],
  ["models shwo minilm", 'There is no command "models shwo". Did you mean "models show"?'],
  ["show", 'There is no command "show".'],
  ["constructor", 'There is no command "constructor".'],
  ["rollout", '"rollout" is half a command.'],
  ["flag gte minilm", 'There is no command "flag gte". Did you mean "flag get"?'],
  ["rollout --steps", '"--steps" comes after a command.'],
  ["--remote", '"--remote" comes after a command.'],
  ["verify", "`nearside verify` needs <model>."],
  ["models show", "`nearside models show` needs <model>."],
  ["verify a b", '"b" is one word too many for `nearside verify`.'],
  ["gc a", '"a" is one word too many for `nearside gc`.'],
  ["models --jsno", 'There is no option "--jsno". Did you mean "--json"?'],
  ["models -x", 'There is no option "-x".'],
  ["gc --delete=yes", "does not take an argument"],
  ["gc --older-than", "'--older-than"],
  ["gc --older-than soon", '--older-than takes a whole number from 0 up, not "soon".'],
  ["gc --older-than 1.5", '--older-than takes a whole number from 0 up, not "1.5".'],
  ["verify a --version 0", '--version takes a whole number from 1 up, not "0".'],
  ["label m stable four", '<version> takes a whole number from 1 up, not "four".'],
  ["label m --delete", "--delete takes a label and no version"],
  ["label m stable 4 --delete", "--delete takes a label and no version"],
  ["label m stable --dry-run", "--dry-run goes with a change"],
  ["switch m --on --off", "It is either --off or --on."],
  ["switch m --version 2", "go with --off or --on"],
  ["flag set m", "takes one of these: a file"],
  ["flag set m flag.json --delete", "takes one of these: a file"],
  ["flag set m --split 4", "--split takes a version or label and its percentage"],
  ["flag set m --split 4=101", "--split takes a version or label and its percentage"],
  ["flag test m --attribute country", "--attribute takes key=value"],
  ["flag test m --keys 0", "--keys takes a whole number from 1 up"],
  ["rollout start m", "needs <version>"],
  ["rollout start m 2 --steps 5,1,100", "--steps takes rising percentages"],
  ["rollout start m 2 --steps 5,50", "--steps takes rising percentages"],
  ["rollout start m 2 --max-cost-ratio no", "--max-cost-ratio takes a number such as"],
  ["account create", "needs <name>"],
  ["account create x --day-limit 1,5", '--day-limit is "1,5", which is not dollars'],
  ["account create x --grace -1", '--grace is "-1", and can\'t be below zero.'],
  ["account create x --models a,,b", "--models takes names with commas between them"],
  ["account set acc_a", "Say what is to change"],
  ["account set acc_a --dry-run", "Say what is to change"],
  ["account set acc_a --suspend --resume", "either --suspend or --resume"],
  ["key", '"key" is half a command.'],
  ["key create acc_a", "needs <name>"],
  ["key create acc_a x --expires yesterday", "--expires takes days such as 30d"],
  ["key create acc_a x --expires 2020-01-01", "or a time to come"],
  ["key rotate acc_a key_a --overlap 1.5", "--overlap takes a whole number"],
  ["credit acc_a", "needs <dollars>"],
  ["credit acc_a 1e3", '<dollars> is "1e3", which is not dollars'],
  ["credit acc_a 0.00", "<dollars> is nothing."],
  ["credit acc_a -5", "can't be below zero"],
  ["credit acc_a -5 --refund", "can't be below zero"],
  ["credit acc_a 1 --refund --adjust", "either --refund or --adjust"],
  ["statement acc_a --month november", "--month takes a month such as 2026-11"],
  ["usage acc_a --from 2026-13", "--from takes a month, a day or an hour"],
  ["receipt verify", "needs <file|->"],
  ["catalog diff 0", "<number> takes a whole number from 1 up"],
  ["verify a --version 1e3", '--version takes a whole number from 1 up, not "1e3".'],
];

describe("words that make no sense", () => {
  it.each(NONSENSE)("`%s` exit with 2 and open nothing", async (line, message) => {
    const words = line.split(" ").filter(Boolean);
    const { out, err, exitCode, opened } = await say(store, ...words);
    expect(err).toContain(message);
    expect([out, exitCode, opened]).toEqual(["", 2, 0]);
  });

  it.each(NONSENSE)("`%s` are one JSON document with --json", async (line, message) => {
    const { value, err, exitCode } = await sayJson(store, ...line.split(" ").filter(Boolean));
    expect(value).toEqual({ error: { message: expect.stringContaining(message), code: "usage" } });
    expect([err, exitCode]).toEqual(["", 2]);
  });
});

describe("options", () => {
  it.each([
    ["before the command", ["--json", "models", "show", "none"]],
    ["between its words", ["models", "--json", "show", "none"]],
    ["after it", ["models", "show", "none", "--json"]],
  ])("are read %s", async (_, words) => {
    const { out, exitCode } = await say(store, ...words);
    expect(JSON.parse(out)).toEqual({
      error: { message: 'There is no model "none" in the local bucket.' },
    });
    expect(exitCode).toBe(1);
  });

  it("end at --, so that a model may have any name", async () => {
    const { err, out, exitCode } = await say(store, "verify", "--", "--json");
    expect(err).toBe('There is no model "--json" in the local bucket.\n');
    expect([out, exitCode]).toEqual(["", 1]);
  });
});

describe("nearest", () => {
  it.each([
    ["modls", "models"],
    ["gv", "gc"],
    ["verfiy", "verify"],
    ["pubish", "publish"],
    ["modelsshow", "models show"],
    ["something", undefined],
  ])("takes %s for %s", (typed, meant) => expect(nearest(typed, NAMES)).toBe(meant));

  it("counts edits as a distance does", () => {
    const word = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        const direct = editDistance(a, c);
        expect(direct).toBe(editDistance(c, a));
        expect(direct === 0).toBe(a === c);
        expect(direct).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c));
        expect(direct).toBeLessThanOrEqual(Math.max(a.length, c.length));
      }),
    );
  });
});

describe("table", () => {
  it("aligns columns and leaves nothing at the end of a line", () => {
    const rows = [
      ["a", "bb", "c"],
      ["aaa", "b", ""],
    ];
    expect(table(rows)).toBe("a    bb  c\naaa  b");
  });
});
