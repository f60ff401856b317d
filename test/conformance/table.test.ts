import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";

const read = (file: string): Promise<string> =>
  readFile(path.join(import.meta.dirname, file), "utf8");

describe("the table of requirements", () => {
  it("has a test for every row and a row for every test", async () => {
    const table = await read("README.md");
    const folder = path.join(import.meta.dirname, "../workerd/conformance");
    const files = (await readdir(folder)).map((file) => readFile(path.join(folder, file), "utf8"));
    const tests = (await Promise.all(files)).join("\n");
    const rows = [...table.matchAll(/^\| `([a-z-]+)` +\|/gm)].map(([, name = ""]) => name);
    const titles = [...tests.matchAll(/\bit\(\s*["`]([a-z-]+): /g)].map(([, name = ""]) => name);
    expect(rows.length).toBeGreaterThan(20);
    expect(new Set(rows).size).toBe(rows.length);
    expect([...new Set(titles)].sort()).toEqual(rows.sort());
  });
});
