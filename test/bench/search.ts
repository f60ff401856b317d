import path from "node:path";

import { bundleWorkers, startEdge } from "../../src/cli/local-stack.ts";
import { CorpusBuilder } from "../../src/corpus/build.ts";
import { memoryBytesOf } from "../../src/corpus/format.ts";
import { scanModule } from "../../src/publish/corpus/kernel-module.ts";
import { Scanner } from "../../src/corpus/scan.ts";
import { viewOf } from "../../src/corpus/view.ts";
import { publishCorpus } from "../../src/publish/corpus/publish-corpus.ts";
import { rowsFrom } from "../../src/publish/corpus/rows.ts";
import { publishFolder } from "../../src/publish/publish.ts";
import { compile, prepareRuntime } from "../../src/publish/runtime.ts";
import { GENERATED, ROOT } from "../../src/publish/workspace.ts";
import { clustered, seeded } from "../support/vectors.ts";
import { KeepAliveClient } from "./client.ts";
import { type Figure, figureOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";

const COUNT = 100_000;
const DIMENSIONS = 384;
const TOP = 10;
const SEVERAL = 8;
const QUERIES = 24;
const REQUESTS = 30;
const JSON_ROWS = 5_000;

const STATE = path.join(GENERATED, "bench", "search");

export interface SearchCase {
  readonly what: string;
  readonly unit: "ms" | "MB" | "share";
  readonly figure: Figure;
}

/**
 * Exact search over 100,000 vectors of 384 dimensions: alone in this process (the engine is workerd's), and through
 * HTTP in workerd, where `search` is the answer with a corpus less the answer without; restored, and rebuilt from
 * JSON lines. Recall is against the vectors before they were rounded.
 */
export async function search(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly SearchCase[] }> {
  await prepareRuntime();
  const cases: SearchCase[] = [];
  const note = (what: string, values: readonly number[], unit: SearchCase["unit"] = "ms"): void =>
    void cases.push({ what, unit, figure: figureOf(values) });
  for (const [name, clusters] of [
    ["random", COUNT],
    ["clustered", 200],
  ] as const) {
    say(`${name} vectors`);
    // As many clusters as vectors are none.
    const vectors = clustered(COUNT, DIMENSIONS, {
      clusters,
      spread: name === "random" ? 1e6 : 0.7,
    });
    const bytes = bytesOf(vectors);
    const queries = queriesOf(vectors);
    const loads = Array.from({ length: samples }, () => timed(() => restored(bytes)));
    const scanner = restored(bytes);
    for (const query of queries) scanner.search([query], TOP);
    const single = queries.map((query) => timed(() => scanner.search([query], TOP)));
    const several = queries.slice(0, samples).map((_query, at) => {
      const eight = Array.from(
        { length: SEVERAL },
        (_none, one) => queries[(at + one) % QUERIES] ?? new Float32Array(),
      );
      return timed(() => scanner.search(eight, TOP));
    });
    note(`${name}: warm search`, single);
    note(`${name}: warm search, ${SEVERAL} queries at once`, several);
    note(
      `${name}: recall@${TOP}`,
      queries.slice(0, 10).map((query) => recall(scanner, vectors, query)),
      "share",
    );
    if (name === "random") continue;
    note("restored from bytes at hand", loads);
    say("rebuilding from JSON lines");
    note("rebuilt from JSON lines", [rebuildMs(vectors)]);
    note("memory of the corpus", [memoryBytesOf(bytes.length, DIMENSIONS) / 1e6], "MB");
    await overHttp(vectors, samples, say, note);
  }
  return reportOf(cases);
}

async function overHttp(
  vectors: readonly Float32Array[],
  samples: number,
  say: (line: string) => void,
  note: (what: string, values: readonly number[]) => void,
): Promise<void> {
  say("publishing to workerd");
  await bundleWorkers();
  const publisher = await startEdge({ edgePort: 0, stateFolder: STATE });
  try {
    const folder = path.join(ROOT, "models/minilm");
    const model = await publishFolder(folder, publisher.target, say, { replace: true });
    const rows = vectors.map((vector, row) => ({
      id: String(row),
      vector: vector as unknown as number[],
    }));
    const source = {
      ...rowsFrom("rows", rows),
      measure: async () => ({ digest: "bench", rows: COUNT }),
    };
    const options = { name: "bench", model, texts: false, label: "stable" };
    await publishCorpus(source, options, publisher.target, say);
  } finally {
    await publisher.stop();
  }
  const body = (parameters: object): string =>
    JSON.stringify({ inputs: "What is the weather like today?", parameters });
  const [cold, warm, plain]: number[][] = [[], [], []];
  for (let sample = 0; sample < samples; sample++) {
    say(`fresh workerd ${sample + 1} of ${samples}`);
    const edge = await startEdge({ edgePort: 0, stateFolder: STATE });
    const client = new KeepAliveClient();
    const ask = (parameters: object): Promise<number> =>
      client.send({
        url: `${edge.edgeUrl}/v1/predict/minilm`,
        contentType: "application/json",
        body: body(parameters),
      });
    try {
      cold?.push(await ask({ corpus: "bench" }));
      const [withCorpus, without]: number[][] = [[], []];
      for (let request = 0; request < REQUESTS; request++) {
        withCorpus?.push(await ask({ corpus: "bench" }));
        without?.push(await ask({}));
      }
      warm?.push(figureOf(withCorpus ?? []).median);
      plain?.push(figureOf(without ?? []).median);
    } finally {
      client.close();
      await edge.stop();
    }
  }
  note("first answer of a fresh workerd: model and corpus restored", cold ?? []);
  note("warm answer over HTTP: embedding and search", warm ?? []);
  note("warm answer over HTTP: embedding alone", plain ?? []);
  note(
    "search over HTTP: the difference",
    (warm ?? []).map((value, at) => value - (plain?.[at] ?? 0)),
  );
}

function bytesOf(vectors: readonly Float32Array[]): Uint8Array<ArrayBuffer> {
  const builder = new CorpusBuilder({ dimensions: DIMENSIONS, texts: false });
  for (const [row, vector] of vectors.entries()) builder.add({ id: String(row), vector });
  return builder.finish().bytes;
}

const SCAN = compile(scanModule());

/** What a load does once the bytes are there: they are copied to where they stay, and never read. */
function restored(bytes: Uint8Array): Scanner {
  const pages = memoryBytesOf(bytes.length, DIMENSIONS) / 65_536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  new Uint8Array(memory.buffer).set(bytes);
  return new Scanner(viewOf(memory.buffer as ArrayBuffer, bytes.length), memory, SCAN);
}

/** Parsing and quantizing alone; the lines are made in pieces, or they would not fit a string. */
function rebuildMs(vectors: readonly Float32Array[]): number {
  const builder = new CorpusBuilder({ dimensions: DIMENSIONS, texts: false });
  let milliseconds = 0;
  for (let from = 0; from < vectors.length; from += JSON_ROWS) {
    const lines = vectors
      .slice(from, from + JSON_ROWS)
      .map((vector, at) => JSON.stringify({ id: String(from + at), vector: [...vector] }));
    milliseconds += timed(() => {
      for (const line of lines) builder.add(JSON.parse(line) as { id: string; vector: number[] });
    });
  }
  return milliseconds + timed(() => restored(builder.finish().bytes));
}

/** Near one of the vectors each, as a text is near to others. */
function queriesOf(vectors: readonly Float32Array[]): Float32Array[] {
  const random = seeded(42);
  return Array.from({ length: QUERIES }, () => {
    const near = vectors[Math.floor(random() * vectors.length)] ?? new Float32Array();
    const query = near.map((value) => value + (random() - 0.5) * Math.abs(near[0] ?? 1));
    const length = Math.hypot(...query);
    return query.map((value) => value / length);
  });
}

function recall(scanner: Scanner, vectors: readonly Float32Array[], query: Float32Array): number {
  const cosines = vectors.map((vector, row) => {
    let [dot, squares] = [0, 0];
    for (let at = 0; at < DIMENSIONS; at++) {
      const value = vector[at] ?? 0;
      dot += value * (query[at] ?? 0);
      squares += value * value;
    }
    return { row, cosine: dot / Math.sqrt(squares) };
  });
  const wanted = cosines.toSorted((a, b) => b.cosine - a.cosine).slice(0, TOP);
  const found = new Set(scanner.search([query], TOP)[0]?.map(({ row }) => row));
  return wanted.filter(({ row }) => found.has(row)).length / TOP;
}

function timed(act: () => unknown): number {
  const began = performance.now();
  act();
  return performance.now() - began;
}

function reportOf(
  cases: readonly SearchCase[],
): Report & { readonly cases: readonly SearchCase[] } {
  const times = cases.filter(
    ({ unit, what }) => unit === "ms" && what !== "rebuilt from JSON lines",
  );
  return {
    cases,
    columns: [`${COUNT} × ${DIMENSIONS}`, "median (range)", "unit"],
    rows: cases.map(({ what, unit, figure }) => [what, spread(figure), unit]),
    picture: {
      title: `Exact search over ${COUNT} vectors`,
      unit: "ms",
      bars: times.map(({ what, figure }) => ({ label: what, figure, kind: "search" })),
    },
  };
}
