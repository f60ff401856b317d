import type { OriginRoute } from "../catalog/catalog.ts";
import type { Manifest } from "../catalog/manifest.ts";

/** How much one request may ask, which depends on where it runs. */
export interface TaskLimits {
  readonly placement: "edge" | "origin";
  /** Inputs of one request. */
  readonly maxBatch: number;
  /** Tokens of one run of the graph, padding included. */
  readonly runTokens: number;
  /** Tokens of one request, padding not counted. */
  readonly requestTokens: number;
  /** Columns, 48 pixels high, of all lines that one request has recognised. */
  readonly lineColumns: number;
}

/**
 * Activations grow with the tokens of a run, and the heap never shrinks: MiniLM takes 45 MB at 256 tokens,
 * 54 at 512, 80 at 1024, where 64 texts of 16 tokens gain 10 % (measured).
 */
const EDGE_RUN_TOKENS = 256;

/**
 * WASM computes without a pause: 4,096 tokens take MiniLM some two seconds (measured), in which the isolate
 * answers nobody else.
 */
const EDGE_REQUEST_TOKENS = 4_096;

/** 64 texts of the most tokens that a BERT reads: 0.3 MB of tensors on their way, and engines batch no further. */
export const ORIGIN_RUN_TOKENS = 16_384;

/** 16 such runs, one after the other, end within the usual deadline. */
const ORIGIN_REQUEST_TOKENS = 262_144;

/** PP-OCR's recogniser takes some 0.14 ms a column (measured): less than three seconds for 25 lines of 60 letters. */
const EDGE_LINE_COLUMNS = 20_000;

/** 16 such pages. */
const ORIGIN_LINE_COLUMNS = 320_000;

export function edgeLimits({ limits }: Manifest): TaskLimits {
  return {
    placement: "edge",
    maxBatch: limits.maxBatch,
    runTokens: EDGE_RUN_TOKENS,
    requestTokens: EDGE_REQUEST_TOKENS,
    lineColumns: EDGE_LINE_COLUMNS,
  };
}

export function originLimits({ limits }: OriginRoute): TaskLimits {
  return {
    placement: "origin",
    maxBatch: limits.maxBatch,
    runTokens: ORIGIN_RUN_TOKENS,
    requestTokens: ORIGIN_REQUEST_TOKENS,
    lineColumns: ORIGIN_LINE_COLUMNS,
  };
}
