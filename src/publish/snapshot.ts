import { createHash } from "node:crypto";

import { createSession, type SessionSource } from "../runtime/create-session.ts";
import {
  type ExternalData,
  instantiate,
  instantiateBare,
  type OrtInstance,
  startEnvironment,
} from "../runtime/ort-module.ts";
import { OrtSession } from "../runtime/session.ts";
import { encodeHeader, PAGE_BYTES, type PageRun } from "../runtime/snapshot/format.ts";
import { memoryOfLength, PageReader } from "../runtime/snapshot/page-reader.ts";
import { arrayOf, elementCount, type Tensor } from "../runtime/tensor.ts";
import { PublishError } from "./error.ts";
import { withFrozenClock, withNoLanguage } from "./frozen-clock.ts";
import { runtimeIdentity, runtimeModule } from "./runtime.ts";
import { feedsOf, type Fixtures } from "./source.ts";

export interface TakenSnapshot {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Length of the linear memory of an instance that is restored from it. */
  readonly memoryBytes: number;
}

/**
 * Takes the snapshot of a model: loads it in the leanest way, runs every fixture, clears what was freed
 * and keeps the pages in which the memory differs from an instance that has just started. The same input
 * gives the same bytes.
 *
 * @param largest shapes of inputs that run first, so that the memory has room for them
 * @throws Error when an instance restored from it answers any fixture with other bits
 */
export async function takeSnapshot(
  source: SessionSource,
  fixtures: Fixtures,
  largest?: Readonly<Record<string, readonly number[]>>,
): Promise<TakenSnapshot> {
  const wasm = await runtimeModule();
  const { digest, ortVersion, startup } = await runtimeIdentity();
  const fresh = await instantiateBare(wasm, () => true, startup);
  const instance = await withNoLanguage(() => instantiate(wasm, () => true));
  const { session, answers } = withFrozenClock(() => {
    startEnvironment(instance);
    const created = createSession(instance, source);
    if (largest !== undefined) created.run(emptyFeeds(created, largest));
    return { session: created, answers: fixtures.cases.map((one) => created.run(feedsOf(one))) };
  });
  scrub(instance);

  const memory = new Uint8Array(instance.memory.buffer);
  const runs = changedPages(memory, new Uint8Array(fresh.memory.buffer));
  const { handles } = session;
  const header = encodeHeader({
    runtime: digest,
    graph: sha256(source.graph),
    ...(source.weights && { weights: sha256(wholeOf(source.weights.data)) }),
    ortVersion,
    memoryBytes: memory.length,
    handles,
    runs,
  });
  const pages = runs.reduce((sum, run) => sum + run.pages, 0);
  const bytes = new Uint8Array(header.length + pages * PAGE_BYTES);
  bytes.set(header);
  let at = header.length;
  for (const { firstPage, pages: count } of runs) {
    const start = firstPage * PAGE_BYTES;
    bytes.set(memory.subarray(start, start + count * PAGE_BYTES), at);
    at += count * PAGE_BYTES;
  }
  await checkRestored(bytes, session, fixtures, answers);
  return { bytes, memoryBytes: memory.length };
}

/** Zeros in the shapes that are given. */
function emptyFeeds(
  { inputs }: OrtSession,
  shapes: Readonly<Record<string, readonly number[]>>,
): Record<string, Tensor> {
  return Object.fromEntries(
    inputs.map(({ name, datatype }) => {
      const shape = shapes[name];
      if (shape === undefined || datatype === "BYTES") {
        throw new PublishError("no_model", `model.json gives no largest shape for "${name}".`);
      }
      const data = new (arrayOf(datatype))(elementCount(shape));
      return [name, { datatype, shape, data } as Tensor];
    }),
  );
}

function wholeOf(data: ExternalData): Uint8Array {
  return data.subarray(0, data.byteLength);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Restores the snapshot into another instance and compares its answers, bit for bit. */
async function checkRestored(
  bytes: Uint8Array,
  { inputs, outputs }: OrtSession,
  fixtures: Fixtures,
  answers: readonly Readonly<Record<string, Tensor>>[],
): Promise<void> {
  const { startup } = await runtimeIdentity();
  const instance = await instantiateBare(await runtimeModule(), () => true, startup);
  const reader = new PageReader(({ memoryBytes }) => memoryOfLength(instance.memory, memoryBytes));
  reader.write(bytes);
  const { handles } = reader.end();
  const restored = new OrtSession(instance, { ...handles, inputs, outputs });
  for (const [index, one] of fixtures.cases.entries()) {
    const seen = restored.run(feedsOf(one));
    for (const [name, tensor] of Object.entries(answers[index] ?? {})) {
      if (sameBits(tensor, seen[name])) continue;
      throw new PublishError(
        "unsupported_model",
        `A restored instance answers "${one.name}" with another "${name}" than the first. Models that draw random numbers can't be published.`,
      );
    }
  }
}

function sameBits(a: Tensor, b: Tensor | undefined): boolean {
  if (a.datatype !== b?.datatype || a.shape.join() !== b.shape.join()) return false;
  if (a.datatype === "BYTES") return a.data.join("\0") === (b.data as string[]).join("\0");
  return Buffer.from(a.data.buffer).equals(
    Buffer.from((b.data as Exclude<typeof b.data, string[]>).buffer),
  );
}

/** The smallest block of dlmalloc; its bookkeeping takes eight bytes of each block. */
const SMALLEST_BLOCK_BYTES = 16;
const BOOKKEEPING_BYTES = 8;

/**
 * Fills what was freed with zeros: takes every free block, in falling powers of two, without letting the
 * memory grow, clears it and gives it back. Freed weights then cost no pages.
 */
function scrub({ module, memory }: OrtInstance): void {
  const { grow } = memory;
  memory.grow = () => {
    throw new RangeError("The memory must not grow while it is cleared.");
  };
  const bytes = new Uint8Array(memory.buffer);
  const held: number[] = [];
  const largest = 2 ** Math.floor(Math.log2(bytes.length));
  for (let size = largest; size >= SMALLEST_BLOCK_BYTES; size /= 2) {
    for (;;) {
      const block = module._malloc(size - BOOKKEEPING_BYTES);
      if (block === 0) break;
      bytes.fill(0, block, block + size - BOOKKEEPING_BYTES);
      held.push(block);
    }
  }
  for (const block of held) module._free(block);
  memory.grow = grow;
}

/** Runs of pages in which `memory` differs from `fresh`, or from zeros beyond its end. */
function changedPages(memory: Uint8Array, fresh: Uint8Array): PageRun[] {
  const now = Buffer.from(memory.buffer);
  const before = Buffer.alloc(memory.length);
  before.set(fresh);
  const runs: { firstPage: number; pages: number }[] = [];
  for (let page = 0; page * PAGE_BYTES < memory.length; page++) {
    const [start, end] = [page * PAGE_BYTES, (page + 1) * PAGE_BYTES];
    if (now.compare(before, start, end, start, end) === 0) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.firstPage + last.pages === page) last.pages++;
    else runs.push({ firstPage: page, pages: 1 });
  }
  return runs;
}
