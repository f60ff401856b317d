import { decoded } from "../protocol/path.ts";
import type { Call, Origin, Reply } from "./call.ts";
import { postEmbeddings } from "./embeddings.ts";
import * as openInference from "./infer.ts";
import { getModels, postChatCompletions, postCompletions } from "./openai.ts";

/** One route of the development origin. */
export interface Route {
  readonly method: "GET" | "POST";
  readonly pattern: RegExp;
  /** For everybody, signed or not: what health checks and Prometheus ask. */
  readonly isOpen: boolean;
  /** Counted against how many may compute at once. */
  readonly computes: boolean;
  handle(origin: Origin, call: Call): Reply | Promise<Reply>;
}

type Handler = Route["handle"];

const MODELS = ["/v2/models/:model", "/v2/models/:model/versions/:version"];

export const ROUTES: readonly Route[] = [
  open("/v2/health/live", openInference.getLive),
  open("/v2/health/ready", openInference.getReady),
  open("/metrics", getMetrics),
  // What takes the place of a health check where the protocol is OpenAI's.
  open("/v1/models", getModels),
  get("/v2", openInference.getServer),
  ...MODELS.flatMap((model) => [
    get(model, openInference.getModel),
    get(`${model}/ready`, openInference.getModelReady),
    post(`${model}/infer`, openInference.postInfer),
  ]),
  post("/v2/repository/index", openInference.postIndex, false),
  post("/v2/repository/models/:model/load", openInference.postLoad, false),
  post("/v2/repository/models/:model/unload", openInference.postUnload, false),
  post("/v1/chat/completions", postChatCompletions),
  post("/v1/completions", postCompletions),
  post("/v1/embeddings", postEmbeddings),
];

/** Finds a route, and the parts of the path. @returns the methods that the path takes when none fits */
export function findRoute(
  method: string,
  path: string,
): { route: Route; params: Record<string, string> } | { allowed: readonly string[] } {
  const fitting = ROUTES.filter(({ pattern }) => pattern.test(path));
  const route = fitting.find((one) => one.method === (method === "HEAD" ? "GET" : method));
  if (route === undefined) return { allowed: fitting.map((one) => one.method) };
  const parts = Object.entries(route.pattern.exec(path)?.groups ?? {});
  return { route, params: Object.fromEntries(parts.map(([name, part]) => [name, decoded(part)])) };
}

function getMetrics({ metrics, models }: Origin): Reply {
  return {
    headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    body: metrics.text({ loaded_models: models.loadedCount }),
  };
}

function open(path: string, handle: Handler): Route {
  return { method: "GET", pattern: patternOf(path), isOpen: true, computes: false, handle };
}

function get(path: string, handle: Handler): Route {
  return { ...open(path, handle), isOpen: false };
}

function post(path: string, handle: Handler, computes = true): Route {
  return { method: "POST", pattern: patternOf(path), isOpen: false, computes, handle };
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/:(\w+)/g, "(?<$1>[^/]+)")}$`);
}
