import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";

import type { Env } from "../../workers/edge/env.ts";
import { createIsolate, handle } from "../../workers/edge/index.ts";

/** An edge of its own, with every call on a binding counted. */
export function edgeOf(overrides: Partial<Env> = {}) {
  const calls: string[] = [];
  const counted = <T extends object>(name: string, binding: T): T =>
    new Proxy(binding, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== "function") return value;
        return (...words: unknown[]) => {
          calls.push(`${name}.${String(property)}`);
          return Reflect.apply(value, target, words);
        };
      },
    });
  const bindings: Env = {
    MODELS: counted("MODELS", overrides.MODELS ?? env.MODELS),
    CATALOG: counted("CATALOG", overrides.CATALOG ?? env.CATALOG),
    MODEL_BUDGET_BYTES: overrides.MODEL_BUDGET_BYTES ?? env.MODEL_BUDGET_BYTES,
    ...(overrides.ADMIN_TOKEN !== undefined && { ADMIN_TOKEN: overrides.ADMIN_TOKEN }),
  };
  const isolate = createIsolate(bindings);
  /** Sends a request and waits for what the edge does after its answer. */
  const send = async (path: string, init?: RequestInit): Promise<Response> => {
    const execution = createExecutionContext();
    const response = await handle(
      new Request(`https://edge.test${path}`, init),
      isolate,
      execution,
    );
    await waitOnExecutionContext(execution);
    return response;
  };
  const post = (path: string, body: unknown): Promise<Response> =>
    send(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const infer = (model: string, inputs: unknown, more: object = {}): Promise<Response> =>
    post(`/v2/models/${model}/infer`, { inputs, ...more });
  return { calls, isolate, send, post, infer };
}
