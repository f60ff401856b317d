import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { NearsideError } from "../errors.ts";
import type { PublicKeyJwk } from "../origin/signing-keys.ts";
import { WIRE_FORMS } from "../protocol/problem.ts";
import { type Call, type Origin, type Reply, json, readBody } from "./call.ts";
import { Metrics } from "./metrics.ts";
import { type OriginBucket, OriginModels } from "./models.ts";
import { openAiFailure } from "./openai-error.ts";
import { findRoute } from "./routes.ts";
import { type RequestGate, requestGate } from "./verify-request.ts";

const LOOPBACK = "127.0.0.1";
/** Requests that compute, or wait for it: each may hold a body of 64 MiB. */
const MAX_IN_FLIGHT = 32;
/** Longer than callers keep idle connections, so that none is closed while a request is on its way. */
const KEEP_ALIVE_MS = 120_000;
/** What is still under way after this is cut off. */
const STOP_GRACE_MS = 2_000;

export interface DevOriginOptions {
  /** 0 takes any free port. */
  readonly port: number;
  readonly bucket: OriginBucket;
  /** Whose signatures are accepted, by their names; undefined accepts unsigned requests. */
  readonly keys: ReadonlyMap<string, PublicKeyJwk> | undefined;
  /** Told what the caller is not: the causes of failures. */
  readonly onError?: (error: unknown) => void;
}

/** A stand-in for Triton, KServe or vLLM on a developer's machine. */
export interface DevOrigin {
  readonly url: string;
  readonly metrics: Metrics;
  stop(): Promise<void>;
}

/**
 * Starts the development origin: the Open Inference Protocol and OpenAI's over the models of a bucket, computed
 * by onnxruntime-node.
 *
 * @example
 * const origin = await startDevOrigin({ port: 8789, bucket, keys: new Map([[keyId, publicKey]]) });
 */
export async function startDevOrigin(options: DevOriginOptions): Promise<DevOrigin> {
  const metrics = new Metrics();
  const models = new OriginModels(options.bucket);
  const answerer = new Answerer({ models, metrics }, options);
  const server = createServer((request, response) => void answerer.answer(request, response));
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.listen(options.port, LOOPBACK);
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    url: `http://${LOOPBACK}:${port}`,
    metrics,
    async stop() {
      await closeServer(server);
      await models.close();
    },
  };
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), STOP_GRACE_MS);
  await closed;
  clearTimeout(timer);
}

/** Among those that may compute; held until the answer is written. */
interface Place {
  isTaken: boolean;
}

class Answerer {
  readonly #origin: Origin;
  readonly #gate: RequestGate;
  readonly #onError: (error: unknown) => void;
  #inFlight = 0;

  constructor(origin: Origin, { keys, onError }: DevOriginOptions) {
    this.#origin = origin;
    this.#onError = onError ?? (() => {});
    this.#gate = requestGate({
      keys,
      now: Date.now,
      onRefusal: (reason) => origin.metrics.count("refused", reason),
    });
  }

  /** Never throws. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const left = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) left.abort();
    });
    const place: Place = { isTaken: false };
    let reply: Reply;
    try {
      reply = await this.#reply(request, left.signal, place);
    } catch (error) {
      if (!left.signal.aborted && !isRefusal(error)) this.#onError(error);
      reply = failure(error, request.url ?? "");
    }
    try {
      await write(response, reply, request);
    } catch (error) {
      if (!left.signal.aborted) this.#onError(error);
      response.destroy();
    }
    if (place.isTaken) this.#inFlight--;
    this.#origin.metrics.count("requests", String(reply.status ?? 200));
  }

  async #reply(request: IncomingMessage, signal: AbortSignal, place: Place): Promise<Reply> {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    const found = findRoute(request.method ?? "", path);
    if ("allowed" in found) throw notThere(found.allowed);
    const { route, params } = found;
    let reading: Promise<Uint8Array<ArrayBuffer>> | undefined;
    const body = () => (reading ??= readBody(request));
    if (!route.isOpen) await this.#gate(request, body);
    const headers = headersOf(request);
    const call: Call = { params, headers, signal, deadline: deadlineOf(headers), body };
    if (route.computes) this.#take(place);
    return route.handle(this.#origin, call);
  }

  #take(place: Place): void {
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      throw new NearsideError("origin_overloaded", "Too many requests are under way here.", {
        retryAfterSeconds: 1,
      });
    }
    place.isTaken = true;
    this.#inFlight++;
  }
}

async function write(
  response: ServerResponse,
  { status = 200, headers = {}, body }: Reply,
  request: IncomingMessage,
): Promise<void> {
  // A body that nobody read would be taken for the next request.
  if (!request.complete) response.setHeader("connection", "close");
  response.writeHead(status, headers);
  if (isStream(body)) await pipeline(Readable.from(body, { highWaterMark: 1 }), response);
  else response.end(request.method === "HEAD" ? undefined : body);
}

function isStream(body: Reply["body"]): body is AsyncIterable<string> {
  return typeof body === "object" && Symbol.asyncIterator in body;
}

/** In the words of the protocol that the path belongs to. */
function failure(error: unknown, path: string): Reply {
  const { status, body } = openAiFailure(error);
  const { message, code } = body.error;
  const reply = json(path.startsWith("/v1/") ? body : { error: message, code }, status);
  const seconds = error instanceof NearsideError ? error.retryAfterSeconds : undefined;
  if (seconds === undefined) return reply;
  return { ...reply, headers: { ...reply.headers, "retry-after": String(seconds) } };
}

function notThere(allowed: readonly string[]): NearsideError {
  return allowed.length === 0
    ? new NearsideError("route_not_found", "There is nothing at this path.")
    : new NearsideError("method_not_allowed", `This path takes ${allowed.join(", ")}.`);
}

function isRefusal(error: unknown): boolean {
  return error instanceof NearsideError && WIRE_FORMS[error.code].status < 500;
}

function headersOf({ headers }: IncomingMessage): Headers {
  return new Headers(
    Object.entries(headers).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, [value].flat().join(", ")]],
    ),
  );
}

/** The time that the edge gives; what is no time is none. */
function deadlineOf(headers: Headers): number | undefined {
  const time = Number(headers.get("nearside-deadline") ?? Number.NaN);
  return Number.isFinite(time) ? time : undefined;
}
