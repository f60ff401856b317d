import { NearsideError } from "../errors.ts";
import { exactScore, type Hit, type ScanQuery, scanQuery, TopRows } from "./exact.ts";
import { CHUNK_ROWS, GROUP_BYTES, scratchOf } from "./format.ts";
import type { CorpusView } from "./view.ts";

type Scan = (
  list: number,
  groups: number,
  vectors: number,
  scales: number,
  rowBytes: number,
  query: number,
  threshold: number,
  out: number,
) => number;

interface Seeker extends ScanQuery {
  readonly best: TopRows;
  /** Exact scores of rows that have twins: 100,000 of one text are computed once. */
  readonly known: Map<number, number>;
  /** How many rows were computed exactly. */
  exact: number;
}

/** Until there is a bar, every row of a chunk is computed exactly: that costs 0.3 ms for 1024 of them. */
const FIRST_ROWS = 64;
const GROUP_ROWS = 4;

/**
 * What the queries of one request may compute exactly together: 400,000 rows of 384 dimensions, half a microsecond
 * each. 64 queries for the best 100 of 100,000 need an eighth of it; only rows that differ by less than the scan can
 * tell, around every query, need more.
 */
const MAX_EXACT_ELEMENTS = 400_000 * 384;

/**
 * Exact search over one corpus in WASM: a scan in integers leaves out the rows that its error bound says can't
 * be among the best, and the others are computed again in float64, equal ones once. The memory is the corpus as it
 * was published, with room behind it for a query and for what the scan finds.
 */
export class Scanner {
  readonly #view: CorpusView;
  readonly #scan: Scan;
  readonly #place: { readonly query: number; readonly list: number; readonly out: number };
  readonly #query: Int16Array;
  readonly #list: Uint32Array;
  readonly #found: Float32Array;
  readonly #places: Uint32Array;

  constructor(view: CorpusView, memory: WebAssembly.Memory, module: WebAssembly.Module) {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    this.#view = view;
    this.#scan = exports["scan"] as Scan;
    const scratch = scratchOf(view.bytes, view.dimensions);
    this.#place = scratch;
    this.#query = new Int16Array(memory.buffer, scratch.query, view.rowBytes);
    this.#list = new Uint32Array(memory.buffer, scratch.list, CHUNK_ROWS);
    const words = (CHUNK_ROWS / GROUP_ROWS) * (GROUP_BYTES / 4);
    this.#found = new Float32Array(memory.buffer, scratch.out, words);
    this.#places = new Uint32Array(memory.buffer, scratch.out, words);
  }

  /**
   * The `top` rows for each query, by falling score, equal ones by rising row.
   *
   * @param rows only these, in rising order; all when absent
   * @throws NearsideError `batch_too_large` where several queries would compute for too long; never for one
   */
  search(queries: readonly Float32Array[], top: number, rows?: Uint32Array): Hit[][] {
    const { rowBytes, count } = this.#view;
    const seekers = queries.map((query): Seeker => ({
      ...scanQuery(query, rowBytes),
      best: new TopRows(top),
      known: new Map(),
      exact: 0,
    }));
    const total = rows?.length ?? count;
    let size = FIRST_ROWS;
    for (let from = 0; from < total; from += size, size = CHUNK_ROWS) {
      const end = Math.min(total, from + size);
      this.#fillList(from, end, rows);
      for (const seeker of seekers) this.#seek(seeker, end - from);
      if (seekers.length > 1) refuseTooMany(seekers, rowBytes);
    }
    return seekers.map(({ best }) => best.hits);
  }

  /** The numbers of the rows to scan; the last one is repeated until they are a multiple of four. */
  #fillList(from: number, end: number, rows: Uint32Array | undefined): void {
    const list = this.#list;
    const length = end - from;
    if (rows !== undefined) list.set(rows.subarray(from, end));
    else for (let at = 0; at < length; at++) list[at] = from + at;
    const last = list[length - 1] ?? 0;
    list.fill(last, length, Math.ceil(length / GROUP_ROWS) * GROUP_ROWS);
  }

  #seek(seeker: Seeker, length: number): void {
    const { vectors, scales, twins, vectorsOffset, scalesOffset, rowBytes } = this.#view;
    const { best, known, step, error, floats, integers } = seeker;
    const { query, list, out } = this.#place;
    const barOf = (): number => (best.bar - error) / step;
    let bar = barOf();
    this.#query.set(integers);
    const groups = Math.ceil(length / GROUP_ROWS);
    const end = this.#scan(list, groups, vectorsOffset, scalesOffset, rowBytes, query, bar, out);
    const words = (end - out) / 4;
    for (let at = 0; at < words; at += GROUP_BYTES / 4) {
      const first = ((this.#places[at + GROUP_ROWS] ?? 0) - list) / 4;
      for (let lane = 0; lane < GROUP_ROWS && first + lane < length; lane++) {
        if ((this.#found[at + lane] ?? 0) < bar) continue;
        const row = this.#list[first + lane] ?? 0;
        const twin = twins[row] ?? 0;
        let score = twin === 0 ? undefined : known.get(twin);
        if (score === undefined) {
          score = exactScore(vectors, row * rowBytes, floats, scales[row] ?? 0);
          seeker.exact++;
          if (twin !== 0) known.set(twin, score);
        }
        if (score <= best.bar) continue;
        best.offer(row, score);
        bar = barOf();
      }
    }
  }
}

function refuseTooMany(seekers: readonly Seeker[], rowBytes: number): void {
  const exact = seekers.reduce((rows, one) => rows + one.exact, 0);
  if (exact * rowBytes <= MAX_EXACT_ELEMENTS) return;
  throw new NearsideError(
    "batch_too_large",
    `Too many rows of the corpus are nearly as near as the best to search it for ${seekers.length} texts at once. Send them in several.`,
    { field: "parameters.corpus" },
  );
}
