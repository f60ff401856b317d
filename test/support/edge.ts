import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";

import type { UsageEvent } from "../../src/billing/usage-event.ts";
import type { Env } from "../../workers/edge/env.ts";
import { createIsolate, handle } from "../../workers/edge/index.ts";

/** A queue that keeps what it is given. */
function capturingQueue(events: UsageEvent[]): Queue<UsageEvent> {
  const queue: Pick<Queue<UsageEvent>, "sendBatch"> = {
    sendBatch: async (messages) => {
      for (const { body } of messages) events.push(body);
      return { metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } };
    },
  };
  return queue as Queue<UsageEvent>;
}

export interface EdgeOptions {
  readonly unbound?: readonly ("USAGE" | "LEDGERS")[];
}

/** An edge of its own, with every call on a binding counted, and its usage events kept. */
export function edgeOf(overrides: Partial<Env> = {}, { unbound = [] }: EdgeOptions = {}) {
  const calls: string[] = [];
  const events: UsageEvent[] = [];
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
    USAGE: overrides.USAGE ?? capturingQueue(events),
    MODEL_BUDGET_BYTES: overrides.MODEL_BUDGET_BYTES ?? env.MODEL_BUDGET_BYTES,
    ...(overrides.ORIGIN !== undefined && { ORIGIN: overrides.ORIGIN }),
    ...(overrides.FLAGS !== undefined && { FLAGS: overrides.FLAGS }),
    ...(overrides.KEYS !== undefined && { KEYS: counted("KEYS", overrides.KEYS) }),
    ...(overrides.LEDGERS !== undefined && { LEDGERS: counted("LEDGERS", overrides.LEDGERS) }),
    ...(overrides.STATISTICS !== undefined && { STATISTICS: overrides.STATISTICS }),
    ...(overrides.RATE_LIMITER !== undefined && { RATE_LIMITER: overrides.RATE_LIMITER }),
    ...(overrides.RECEIPT_KEY !== undefined && { RECEIPT_KEY: overrides.RECEIPT_KEY }),
    ...(overrides.RECEIPT_PUBLIC_KEYS !== undefined && {
      RECEIPT_PUBLIC_KEYS: overrides.RECEIPT_PUBLIC_KEYS,
    }),
    ANONYMOUS: overrides.ANONYMOUS ?? "allowed",
    ...(overrides.ADMIN_TOKEN !== undefined && { ADMIN_TOKEN: overrides.ADMIN_TOKEN }),
  };
  const bound = Object.entries(bindings).filter(([name]) => !unbound.some((one) => one === name));
  const isolate = createIsolate(Object.fromEntries(bound) as unknown as Env);
  /** Sends a request; `settled` waits for what the edge does after its answer. */
  const begin = async (path: string, init?: RequestInit) => {
    const execution = createExecutionContext();
    const request = new Request(`https://edge.test${path}`, init);
    const response = await handle(request, isolate, execution);
    return { response, settled: () => waitOnExecutionContext(execution) };
  };
  /** Sends a request, reads the answer and waits for what the edge does after it. */
  const send = async (path: string, init?: RequestInit): Promise<Response> => {
    const { response, settled } = await begin(path, init);
    const body = response.body && (await response.arrayBuffer());
    await settled();
    return new Response(body, response);
  };
  const post = (path: string, body: unknown): Promise<Response> =>
    send(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const infer = (model: string, inputs: unknown, more: object = {}): Promise<Response> =>
    post(`/v2/models/${model}/infer`, { inputs, ...more });
  return { calls, events, isolate, begin, send, post, infer };
}
