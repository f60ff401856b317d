import type { CatalogReader } from "../catalog/reader.ts";
import type { Log } from "../telemetry/log.ts";
import type { Clock } from "./admission.ts";
import type { HealthReader } from "./health-reader.ts";
import type { Pools } from "./pools.ts";
import type { RequestSigner } from "./sign.ts";

/** What an isolate of the origin Worker keeps from request to request. */
export interface OriginIsolate {
  readonly catalog: CatalogReader;
  readonly health: HealthReader;
  readonly pools: Pools;
  /** Absent when there is no key: pools that want signatures are then refused. */
  readonly sign: RequestSigner | undefined;
  /** A secret of the Worker's that a pool names: `ORIGIN_SECRET_…`. */
  secretOf(name: string): string | undefined;
}

/** What one request carries. Nothing of it outlives the request. */
export interface OriginContext {
  readonly isolate: OriginIsolate;
  readonly requestId: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly fetch: (request: Request, init: { signal: AbortSignal }) => Promise<Response>;
  /** Uniform in [0, 1). */
  random(): number;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Keeps the request's I/O alive after the answer. */
  waitUntil(promise: Promise<unknown>): void;
}
