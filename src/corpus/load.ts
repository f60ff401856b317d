import type { CorpusManifest } from "../catalog/corpus.ts";
import { NearsideError } from "../errors.ts";
import type { HostedModel, LoadContext } from "../runtime/host.ts";
import { SupersededError } from "../runtime/shared-load.ts";
import type { BlobStore } from "../store/blobs.ts";
import { FORMAT, scratchOf } from "./format.ts";
import { type Condition, rowsOf } from "./filter.ts";
import type { MetadataValue } from "./build.ts";
import { Scanner } from "./scan.ts";
import { valueAt, viewOf, type CorpusView } from "./view.ts";

/** One row of an answer. */
export interface Found {
  readonly id: string;
  /** The cosine with the query's vector. */
  readonly score: number;
  readonly metadata?: Readonly<Record<string, MetadataValue>>;
  readonly text?: string;
}

export interface CorpusSearch {
  readonly queries: readonly Float32Array[];
  readonly top: number;
  readonly conditions: readonly Condition[];
}

/** A corpus in the memory of its search instance. */
export interface LoadedCorpus extends HostedModel {
  readonly manifest: CorpusManifest;
  /** The best rows for each query, best first. Computes at once, and on the calling thread. */
  search(search: CorpusSearch): Found[][];
}

/**
 * Restores a corpus: its blob streams into the memory of a new instance, verified as it comes, and is searched
 * as it lies there.
 *
 * @throws NearsideError `corpus_damaged`, `corpus_unavailable`
 */
export async function loadCorpus(
  manifest: CorpusManifest,
  module: WebAssembly.Module,
  blobs: Pick<BlobStore, "stream">,
  context: LoadContext,
): Promise<LoadedCorpus> {
  const { snapshot, dimensions, name } = manifest;
  if (snapshot.format !== FORMAT) {
    throw damaged(
      `The corpus "${name}" was published by another release; publish it again, with --label stable.`,
    );
  }
  const { pages } = scratchOf(snapshot.bytes, dimensions);
  const memory = context.shared(() => new WebAssembly.Memory({ initial: pages, maximum: pages }));
  const bytes = new Uint8Array(memory.buffer);
  const began = context.now();
  let at = 0;
  try {
    await blobs.stream(snapshot, context, {
      begin() {
        at = 0;
      },
      write(chunk) {
        // Whoever took this load over writes to the same memory.
        context.onProgress();
        bytes.set(chunk, at);
        at += chunk.length;
      },
    });
  } catch (error) {
    throw ownError(error, name);
  }
  context.onPhase("corpus", context.now() - began);
  return loadedFrom(manifest, memory, module);
}

/** A corpus whose bytes are in the memory already. @throws NearsideError `corpus_damaged` */
export function loadedFrom(
  manifest: CorpusManifest,
  memory: WebAssembly.Memory,
  module: WebAssembly.Module,
): LoadedCorpus {
  const view = checkedView(manifest, memory);
  const scanner = new Scanner(view, memory, module);
  return {
    manifest,
    heapBytes: memory.buffer.byteLength,
    trap: undefined,
    start: "restored",
    search({ queries, top, conditions }) {
      const rows = rowsOf(view, conditions);
      return scanner
        .search(queries, top, rows)
        .map((hits) => hits.map(({ row, score }) => foundAt(view, manifest, row, score)));
    },
  };
}

function foundAt(view: CorpusView, { columns }: CorpusManifest, row: number, score: number): Found {
  const metadata = columns.flatMap(({ name }, index) => {
    const column = view.columns[index];
    const value = column && valueAt(column, row);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    id: view.ids.at(row),
    score,
    ...(metadata.length > 0 && { metadata: Object.fromEntries(metadata) }),
    ...(view.texts && { text: view.texts.at(row) }),
  };
}

function checkedView(manifest: CorpusManifest, memory: WebAssembly.Memory): CorpusView {
  const { name, snapshot, count, dimensions, columns, texts } = manifest;
  let view: CorpusView;
  try {
    view = viewOf(memory.buffer as ArrayBuffer, snapshot.bytes);
  } catch (cause) {
    throw damaged(`The corpus "${name}" can't be read; publish it again.`, cause);
  }
  const isSame =
    view.count === count &&
    view.dimensions === dimensions &&
    (view.texts !== undefined) === texts &&
    view.columns.length === columns.length &&
    columns.every(({ type }, index) => type === view.columns[index]?.type);
  if (!isSame) throw damaged(`The corpus "${name}" is not the one in its manifest.`);
  return view;
}

/** A corpus is no model: what is said of its blob names it. */
function ownError(error: unknown, name: string): unknown {
  if (error instanceof SupersededError || !(error instanceof NearsideError)) return error;
  if (error.code === "model_damaged") {
    const mend = `\`nearside corpus verify ${name} --drop\`, then publish the same rows again`;
    return damaged(`The corpus "${name}" is missing from the store, or altered: ${mend}.`, error);
  }
  if (error.code !== "model_unavailable") return error;
  return new NearsideError("corpus_unavailable", `The corpus "${name}" can't be read right now.`, {
    retryAfterSeconds: 1,
    cause: error,
  });
}

function damaged(message: string, cause?: unknown): NearsideError {
  return new NearsideError("corpus_damaged", message, { cause });
}
