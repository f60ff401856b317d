import { type BuiltCorpus, CorpusBuilder, RowError } from "../../corpus/build.ts";
import { NearsideError } from "../../errors.ts";
import { PublishError } from "../error.ts";
import type { Progress } from "../publish.ts";
import { EMBED_TEXTS, type Embedder } from "./embedder.ts";
import { badRow, type RowSource, type SourceRow } from "./rows.ts";

interface BuildOptions {
  readonly dimensions: number;
  readonly texts: boolean;
  /** How many rows there are at most, for whoever waits. */
  readonly rows: number;
}

const PROGRESS_MS = 2_000;

/** Makes a corpus of rows, with the model's vectors for those that bring none. @throws PublishError `bad_corpus` */
export async function buildCorpus(
  source: RowSource,
  { dimensions, texts, rows }: BuildOptions,
  embedder: Embedder,
  say: Progress,
): Promise<BuiltCorpus> {
  const builder = new CorpusBuilder({ dimensions, texts });
  const progress = progressOf(rows, say);
  let waiting: SourceRow[] = [];
  const flush = async (): Promise<void> => {
    const missing = waiting.filter(({ vector }) => vector === undefined);
    const made = await embedded(missing, embedder);
    for (const row of waiting) {
      const vector = row.vector ?? made.get(row) ?? [];
      told(row, () => builder.addChecked({ ...row, vector }));
    }
    waiting = [];
    progress(builder.count);
  };
  for await (const row of source.rows()) {
    if (row.vector === undefined && row.text === undefined) {
      throw badRow(row.where, 'it needs a "text" or a "vector"');
    }
    told(row, () => builder.check(row));
    waiting.push(row);
    if (waiting.length === EMBED_TEXTS) await flush();
  }
  await flush();
  if (builder.count === 0) throw new PublishError("bad_corpus", `${source.name} has no rows.`);
  return builder.finish();
}

async function embedded(
  rows: readonly SourceRow[],
  embedder: Embedder,
): Promise<ReadonlyMap<SourceRow, Float32Array>> {
  if (rows.length === 0) return new Map();
  try {
    const vectors = await embedder.embed(rows.map(({ text = "" }) => text));
    return new Map(rows.map((row, index) => [row, vectors[index] ?? new Float32Array()]));
  } catch (error) {
    if (!(error instanceof NearsideError)) throw error;
    const index = Number(/\[(\d+)\]/.exec(error.field ?? "")?.[1] ?? 0);
    throw badRow(rows[index]?.where ?? "a row", error.message.replace(/\.$/, ""), error);
  }
}

function told(row: SourceRow, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (error instanceof RowError) throw badRow(row.where, error.message, error);
    throw error;
  }
}

/** Says now and then how far it is, and how long the rest will take. */
function progressOf(rows: number, say: Progress): (done: number) => void {
  const began = performance.now();
  let said = began;
  return (done) => {
    const now = performance.now();
    if (now - said < PROGRESS_MS) return;
    said = now;
    const perRow = (now - began) / done;
    const left = Math.max(0, rows - done) * perRow;
    say(`${done} of ${rows} rows, ${Math.round(1000 / perRow)} a second, ${timeText(left)} left`);
  };
}

function timeText(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
