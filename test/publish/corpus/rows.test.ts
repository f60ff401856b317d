import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { rowsOfPlace, type SourceRow } from "../../../src/publish/corpus/rows.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "nearside-rows-"));
});
afterEach(() => rm(folder, { recursive: true }));

const write = async (name: string, content: string): Promise<string> => {
  const file = path.join(folder, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
  return file;
};

const rowsOf = async (place: string): Promise<SourceRow[]> => {
  const rows: SourceRow[] = [];
  for await (const row of (await rowsOfPlace(place)).rows()) rows.push(row);
  return rows;
};

describe("rowsOfPlace", () => {
  it("reads a row from each line, and leaves empty ones out", async () => {
    const file = await write(
      "a.jsonl",
      '{"id":"1","text":"One."}\r\n\n{"id":"2","vector":[1,0.5]}',
    );
    expect(await rowsOf(file)).toEqual([
      { id: "1", text: "One.", where: "a.jsonl, line 1" },
      { id: "2", vector: [1, 0.5], where: "a.jsonl, line 3" },
    ]);
  });

  it("reads a folder's lines and texts, in the order of their paths", async () => {
    await write("b/two.md", "# Two");
    await write("a.jsonl", '{"id":"1","text":"One."}');
    await write("c.png", "no text");
    expect(await rowsOf(folder)).toEqual([
      { id: "1", text: "One.", where: "a.jsonl, line 1" },
      { id: "b/two.md", text: "# Two", where: "b/two.md" },
    ]);
  });

  it.each([
    ["{", "it is not JSON"],
    ["[]", '"id"'],
    ['{"text":"x"}', '"id"'],
    ['{"id":1,"text":"x"}', '"id"'],
    ['{"id":"1","vector":[1,null]}', '"vector.1"'],
    ['{"id":"1","txet":"x"}', '"txet"'],
    ['{"id":"1","metadata":{"tags":["a"]}}', '"metadata.tags"'],
    ['{"id":"1","metadata":{"constructor":"x"}}', '"constructor" is no name'],
  ])("says which line is wrong: %s", async (line, problem) => {
    const file = await write("a.jsonl", `{"id":"0","text":"x"}\n${line}\n`);
    await expect(rowsOf(file)).rejects.toMatchObject({
      code: "bad_corpus",
      message: expect.stringMatching(/^a\.jsonl, line 2: /),
    });
    await expect(rowsOf(file)).rejects.toThrow(problem);
  });

  it("measures content and names, whatever folder they are in", async () => {
    const first = await (await rowsOfPlace(await write("x/a.jsonl", "{}\n{}\n"))).measure();
    const same = await (await rowsOfPlace(await write("y/a.jsonl", "{}\n{}\n"))).measure();
    const other = await (await rowsOfPlace(await write("z/a.jsonl", "{}\n"))).measure();
    expect(same).toEqual(first);
    expect(other.digest).not.toBe(first.digest);
    expect(first.rows).toBeGreaterThanOrEqual(2);
  });

  it.each([
    ["a.jsonl", "{}\n{}\n{}\n", 3],
    ["a.jsonl", "{}\n{}\n{}", 3],
    ["a.jsonl", "", 0],
    ["a.md", "# One\n\nTwo\n", 1],
  ])("counts the rows of %s: %j", async (name, content, rows) => {
    const file = await write(name, content);
    expect(await (await rowsOfPlace(file)).measure()).toMatchObject({ rows });
  });

  it.each(["nothing", "empty"])("refuses a place with %s in it", async (name) => {
    await mkdir(path.join(folder, "empty"));
    await expect(rowsOfPlace(path.join(folder, name))).rejects.toMatchObject({
      code: "bad_corpus",
    });
  });
});
