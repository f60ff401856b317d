import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";

import * as v from "valibot";

import { PublishError } from "../error.ts";

/** One row as it is given: it needs a text or a vector. */
const Row = v.strictObject({
  id: v.string(),
  text: v.optional(v.string()),
  vector: v.optional(v.array(v.number())),
  metadata: v.optional(v.record(v.string(), v.union([v.string(), v.number(), v.boolean()]))),
});

export interface SourceRow extends v.InferOutput<typeof Row> {
  /** For a person: `docs.jsonl, line 12`. */
  readonly where: string;
}

/** Where the rows of a corpus come from. */
export interface RowSource {
  /** How it is called, for a description. */
  readonly name: string;
  /** SHA-256 of its content, and how many rows there are at most. */
  measure(): Promise<{ readonly digest: string; readonly rows: number }>;
  /** @throws PublishError `bad_corpus` naming the line */
  rows(): AsyncIterable<SourceRow>;
}

/** Rows that are in memory. */
export function rowsFrom(name: string, rows: readonly Omit<SourceRow, "where">[]): RowSource {
  return {
    name,
    async measure() {
      const hash = createHash("sha256");
      for (const row of rows) hash.update(`${JSON.stringify(row)}\n`);
      return { digest: hash.digest("hex"), rows: rows.length };
    },
    async *rows() {
      for (const [index, row] of rows.entries()) yield { ...row, where: `row ${index + 1}` };
    },
  };
}

/**
 * A file of JSON lines, `{"id", "text", "vector", "metadata"}`; or a folder of such files and of texts (.txt, .md),
 * whose ids are their paths.
 *
 * @throws PublishError `bad_corpus` when there is no such file
 */
export async function rowsOfPlace(place: string): Promise<RowSource> {
  const found = await stat(place).catch(() => undefined);
  if (found === undefined) throw new PublishError("bad_corpus", `There is nothing at ${place}.`);
  const files = found.isDirectory() ? await filesIn(place) : [place];
  if (files.length === 0) {
    throw new PublishError("bad_corpus", `${place} has no .jsonl, .txt or .md file in it.`);
  }
  const nameOf = (file: string): string =>
    found.isDirectory()
      ? path.relative(place, file).split(path.sep).join("/")
      : path.basename(file);
  return {
    name: path.basename(path.resolve(place)),
    async measure() {
      const hash = createHash("sha256");
      let rows = 0;
      for (const file of files) {
        hash.update(`${nameOf(file)}\n`);
        let count = 0;
        let last = NEWLINE;
        for await (const chunk of createReadStream(file)) {
          const bytes = chunk as Buffer;
          hash.update(bytes);
          for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) {
            count++;
          }
          last = bytes.at(-1) ?? last;
        }
        if (last !== NEWLINE) count++;
        rows += isText(file) ? 1 : count;
      }
      return { digest: hash.digest("hex"), rows };
    },
    async *rows() {
      for (const file of files) {
        if (isText(file)) {
          const id = nameOf(file);
          yield { id, text: await readFile(file, "utf8"), where: id };
        } else yield* lines(file, nameOf(file));
      }
    },
  };
}

const NEWLINE = 10;

const isText = (file: string): boolean => file.endsWith(".txt") || file.endsWith(".md");

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true });
  return entries
    .filter((entry) => /\.(jsonl|ndjson|txt|md)$/.test(entry))
    .toSorted()
    .map((entry) => path.join(folder, entry));
}

async function* lines(file: string, name: string): AsyncGenerator<SourceRow, void> {
  let number = 0;
  for await (const line of createInterface({
    input: createReadStream(file),
    crlfDelay: Infinity,
  })) {
    number++;
    const where = `${name}, line ${number}`;
    if (line.trim() !== "") yield { ...parseRow(line, where), where };
  }
}

function parseRow(line: string, where: string): v.InferOutput<typeof Row> {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw badRow(where, "it is not JSON");
  }
  const parsed = v.safeParse(Row, json);
  if (parsed.success) {
    const { metadata = {} } = parsed.output;
    // Valibot leaves out without a word what a record of it can't hold.
    const names = Object.keys((json as { metadata?: object }).metadata ?? {});
    const lost = names.find((name) => !Object.hasOwn(metadata, name));
    if (lost === undefined) return parsed.output;
    throw badRow(where, `"${lost}" is no name for metadata`);
  }
  const [issue] = parsed.issues;
  const field = v.getDotPath(issue);
  const problem = issue.message.replace(/^Invalid /, "invalid ");
  throw badRow(where, field === null ? problem : `"${field}": ${problem}`);
}

/** @param problem the end of a sentence */
export function badRow(where: string, problem: string, cause?: unknown): PublishError {
  return new PublishError("bad_corpus", `${where}: ${problem}.`, { cause });
}
