import type { CallOptions } from "./caller.ts";

export interface ModelOptions<Version> extends CallOptions {
  /** A number or a label; what the model's flag chooses, else `stable`, when absent. */
  readonly version?: Version | undefined;
}

export interface PredictOptions<Version> extends ModelOptions<Version> {
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  /** Of a raw body; a Blob's own when absent, else `application/octet-stream`. */
  readonly mediaType?: string | undefined;
}

export interface InferOptions<Version, Output extends string> extends ModelOptions<Version> {
  /** All of the model's when absent. */
  readonly outputs?: readonly Output[] | undefined;
}

export interface SearchOptions<Version> extends ModelOptions<Version> {
  readonly corpus: string;
  /** How many of the best. */
  readonly top?: number | undefined;
  /** Conditions on metadata, all of which must hold: `{ lang: "en", year: { gte: 2020 } }`. */
  readonly filter?: Readonly<Record<string, unknown>> | undefined;
}

/** A text of a corpus that is near to another. */
export interface Match {
  readonly id: string;
  /** The cosine. */
  readonly score: number;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly text?: string;
}

/** A version of a model in the catalog. */
export interface ListedVersion {
  readonly name: string;
  readonly version: string;
  /** `READY`, or `UNAVAILABLE` for a `reason`. */
  readonly state: string;
  readonly reason: string;
}
