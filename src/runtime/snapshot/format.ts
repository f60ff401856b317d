import type { SessionPointers } from "../session.ts";

/**
 * The snapshot of a WASM instance: what its linear memory holds once a session is created and warm,
 * as far as it differs from an instance that has just started. `src/store/README.md` has it byte by byte.
 */
export const SNAPSHOT_FORMAT = 2;

export const PAGE_BYTES = 4096;

/** Pages that follow one another in memory. */
export interface PageRun {
  readonly firstPage: number;
  readonly pages: number;
}

export interface SnapshotHeader {
  /** SHA-256, in hex, of the WASM and the glue that made the memory. */
  readonly runtime: string;
  /** SHA-256, in hex, of the graph that the session was created from, and of its weights if it has any. */
  readonly graph: string;
  readonly weights?: string;
  /** Version of ONNX Runtime, for people. */
  readonly ortVersion: string;
  /** Length of the linear memory. */
  readonly memoryBytes: number;
  readonly handles: SessionPointers;
  /** In the order of memory, and of the file. */
  readonly runs: readonly PageRun[];
}

export type SnapshotFault =
  | "not_a_snapshot"
  | "unknown_format"
  | "wrong_runtime"
  | "wrong_model"
  | "malformed"
  | "wrong_length"
  | "memory_refused";

/** Why a snapshot can't be restored; the model is loaded from its graph then. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
  readonly fault: SnapshotFault;

  constructor(fault: SnapshotFault, message: string) {
    super(message);
    this.fault = fault;
  }
}

/** "NEARSNAP" */
const MAGIC = Uint8Array.of(0x4e, 0x45, 0x41, 0x52, 0x53, 0x4e, 0x41, 0x50);
const WORD = 4;
const DIGEST_BYTES = 32;
const VERSION_BYTES = 16;
const NO_DIGEST = "0".repeat(2 * DIGEST_BYTES);
/** Magic, format, length of the header. */
export const PREFIX_BYTES = 16;
const RUNTIME_AT = PREFIX_BYTES;
const GRAPH_AT = RUNTIME_AT + DIGEST_BYTES;
const WEIGHTS_AT = GRAPH_AT + DIGEST_BYTES;
const VERSION_AT = WEIGHTS_AT + DIGEST_BYTES;
const WORDS_AT = VERSION_AT + VERSION_BYTES;
const FIXED_BYTES = WORDS_AT + 7 * WORD;
/** A header beyond this is no header: 128 MB of memory have 32,768 pages, in 16,384 runs at most. */
const MAX_HEADER_BYTES = 1_048_576;
const WASM_MEMORY_LIMIT_BYTES = 2 ** 32;

export function encodeHeader(header: SnapshotHeader): Uint8Array<ArrayBuffer> {
  const { handles, runs } = header;
  const names = [...handles.inputNames, ...handles.outputNames];
  const bytes = new Uint8Array(FIXED_BYTES + WORD * (names.length + 2 * runs.length));
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC, 0);
  view.setUint32(8, SNAPSHOT_FORMAT, true);
  view.setUint32(12, bytes.length, true);
  bytes.set(fromHex(header.runtime), RUNTIME_AT);
  bytes.set(fromHex(header.graph), GRAPH_AT);
  bytes.set(fromHex(header.weights ?? NO_DIGEST), WEIGHTS_AT);
  bytes.set(new TextEncoder().encode(header.ortVersion).subarray(0, VERSION_BYTES), VERSION_AT);
  const words = [
    header.memoryBytes / PAGE_BYTES,
    handles.session,
    handles.runOptions,
    handles.table,
    handles.inputNames.length,
    handles.outputNames.length,
    runs.length,
    ...names,
    ...runs.flatMap(({ firstPage, pages }) => [firstPage, pages]),
  ];
  for (const [index, word] of words.entries()) view.setUint32(WORDS_AT + WORD * index, word, true);
  return bytes;
}

/**
 * @param prefix the first `PREFIX_BYTES` of a file
 * @returns the length of the whole header
 * @throws SnapshotError `not_a_snapshot`, `unknown_format`, `malformed`
 */
export function headerLength(prefix: Uint8Array): number {
  if (MAGIC.some((byte, index) => prefix[index] !== byte)) {
    throw new SnapshotError("not_a_snapshot", "The file does not start as a snapshot does.");
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const format = view.getUint32(8, true);
  if (format !== SNAPSHOT_FORMAT) {
    throw new SnapshotError("unknown_format", `The snapshot has format ${format}.`);
  }
  const length = view.getUint32(12, true);
  if (length < FIXED_BYTES || length > MAX_HEADER_BYTES) throw malformed("its header's length");
  return length;
}

/**
 * @param bytes a whole header
 * @throws SnapshotError `malformed` when it contradicts itself
 */
export function parseHeader(bytes: Uint8Array): SnapshotHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = WORDS_AT;
  const word = (): number => {
    const value = view.getUint32(at, true);
    at += WORD;
    return value;
  };
  const memoryBytes = word() * PAGE_BYTES;
  const [session, runOptions, table] = [word(), word(), word()];
  const [inputs, outputs, runCount] = [word(), word(), word()];
  if (bytes.length !== FIXED_BYTES + WORD * (inputs + outputs + 2 * runCount)) {
    throw malformed("its tables");
  }
  const inputNames = Array.from({ length: inputs }, word);
  const outputNames = Array.from({ length: outputs }, word);
  const runs = Array.from({ length: runCount }, () => ({ firstPage: word(), pages: word() }));
  if (memoryBytes > WASM_MEMORY_LIMIT_BYTES) throw malformed("the length of its memory");
  for (const pointer of [session, runOptions, table, ...inputNames, ...outputNames]) {
    if (pointer >= memoryBytes) throw malformed("a pointer");
  }
  let next = 0;
  for (const { firstPage, pages } of runs) {
    if (firstPage < next || pages === 0) throw malformed("the order of its pages");
    next = firstPage + pages;
  }
  if (next * PAGE_BYTES > memoryBytes) throw malformed("a page beyond its memory");
  const digestAt = (start: number): string => toHex(bytes.subarray(start, start + DIGEST_BYTES));
  const weights = digestAt(WEIGHTS_AT);
  const version = bytes.subarray(VERSION_AT, WORDS_AT);
  return {
    runtime: digestAt(RUNTIME_AT),
    graph: digestAt(GRAPH_AT),
    ...(weights !== NO_DIGEST && { weights }),
    ortVersion: new TextDecoder().decode(version).replace(/\0+$/, ""),
    memoryBytes,
    handles: { session, runOptions, table, inputNames, outputNames },
    runs,
  };
}

// Node 24 has no Uint8Array.prototype.toHex.
function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function malformed(what: string): SnapshotError {
  return new SnapshotError("malformed", `The snapshot contradicts itself in ${what}.`);
}
