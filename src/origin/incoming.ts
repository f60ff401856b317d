import { NearsideError } from "../errors.ts";

const ROUTE = /^\/pools\/([^/]+)\/(.+)$/;
/** All that is ever forwarded: what else an engine can do, such as unloading models, is its operator's. */
const OPERATIONS = [
  ["infer", /^v2\/models\/[^/]+(?:\/versions\/[^/]+)?\/infer$/],
  ["text", /^v1\/(?:chat\/)?completions$/],
  ["embeddings", /^v1\/embeddings$/],
] as const;
const DEFAULT_PRIORITY = 5;
const LOWEST_PRIORITY = 9;

/** What is to be computed: it decides what counts as an answer. */
export type Operation = (typeof OPERATIONS)[number][0];

/** What the edge asks for. */
export interface Incoming {
  readonly pool: string;
  /** The protocol's own path and query: `v2/models/minilm/infer`. */
  readonly path: string;
  readonly operation: Operation;
  readonly method: string;
  /** Milliseconds since the epoch: an answer that has not begun by then is too late. */
  readonly deadline: number;
  /** 0 is the highest. */
  readonly priority: number;
  /** Whether it may be computed twice. */
  readonly idempotent: boolean;
  /** The caller wants an answer in pieces, which costs an engine as long as it lasts. */
  readonly wantsEvents: boolean;
}

/** The protocol that an operation is part of. */
export function protocolOf(operation: Operation): "open-inference" | "openai" {
  return operation === "infer" ? "open-inference" : "openai";
}

/**
 * Reads the way and the conditions of a request. Headers that make no sense count as absent: the caller is our own
 * edge.
 *
 * @throws NearsideError `route_not_found`
 */
export function readIncoming({ url, method, headers }: Request): Incoming {
  const { pathname, search } = new URL(url);
  const [, pool, path = ""] = ROUTE.exec(pathname) ?? [];
  const [operation] = OPERATIONS.find(([, pattern]) => pattern.test(path)) ?? [];
  if (pool === undefined || operation === undefined || method !== "POST") {
    throw new NearsideError("route_not_found", "Post to /pools/<pool>/<path of an inference>.");
  }
  return {
    pool,
    path: `${path}${search}`,
    operation,
    method,
    deadline: wholeNumber(headers.get("nearside-deadline")) ?? Infinity,
    priority: Math.min(
      LOWEST_PRIORITY,
      wholeNumber(headers.get("nearside-priority")) ?? DEFAULT_PRIORITY,
    ),
    idempotent: headers.get("nearside-idempotent") === "true",
    wantsEvents: headers.get("accept")?.includes("text/event-stream") ?? false,
  };
}

function wholeNumber(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
