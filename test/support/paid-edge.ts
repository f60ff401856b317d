import { env } from "cloudflare:workers";
import * as v from "valibot";
import { vi } from "vitest";

import { generateReceiptKey } from "../../src/billing/receipt.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import { CATALOG_KV_KEY } from "../../src/catalog/reader.ts";
import type { Env } from "../../workers/edge/env.ts";
import { priceOf } from "../billing/support.ts";
import { type EdgeOptions, edgeOf } from "./edge.ts";
import { gatherGraph, linearGraph } from "./graphs.ts";
import { manifestOf } from "./manifests.ts";
import type { TestPayer } from "./payer.ts";
import { publishGraph } from "./publish-graph.ts";

export const PATH = "/v2/models/linear/infer";

/** Rows of two numbers for `linear`. */
export const x = (...data: number[]): string =>
  JSON.stringify({
    inputs: [{ name: "x", datatype: "FP32", shape: [data.length / 2, 2], data }],
  });

/** 100 for a request and 3 for each of 4 elements. */
export const COST = 112;
export const price = priceOf({ perUnit: { elements: 3 }, model: "linear" });

/** Writes a catalog of models that cost something; `gratis` does not. */
export async function putPaidModels(): Promise<void> {
  const one = (manifest: Awaited<ReturnType<typeof publishGraph>>) => ({
    versions: { 1: manifest },
    labels: { stable: 1 },
  });
  const linear = await publishGraph(env.MODELS, "linear", linearGraph(2, 2));
  const task = { type: "text-generation", contextCharacters: 64 } as const;
  const origin = { limits: { maxBatch: 8, maxBodyBytes: 1_000_000 } };
  const catalog = v.parse(Catalog, {
    schema: 1,
    number: 1,
    models: {
      linear: { ...one(linear), versions: { 1: linear, 2: { ...linear, version: 2 } } },
      gather: one(await publishGraph(env.MODELS, "gather", gatherGraph(4))),
      gratis: one({ ...linear, name: "gratis" }),
      far: {
        ...one({ ...linear, name: "far", edge: false }),
        origin: { pool: "tensors", ...origin },
      },
      scribe: {
        ...one(manifestOf({ name: "scribe", edge: false, task })),
        origin: { pool: "words", ...origin },
      },
    },
    pools: {
      words: { protocol: "openai", endpoints: [{ url: "https://words.example.com" }] },
      tensors: { protocol: "open-inference", endpoints: [{ url: "https://tensors.example.com" }] },
    },
    prices: [
      price,
      { ...price, id: "gathered", model: "gather" },
      { ...price, id: "far", model: "far" },
      priceOf({
        id: "words",
        model: "scribe",
        perUnit: { prompt_tokens: 2, completion_tokens: 5 },
      }),
    ],
  });
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
}

/** An edge that refuses callers without a key, and what a caller with this one does there. */
export async function openEdge(
  payer: TestPayer,
  credential?: string,
  more: Partial<Env> = {},
  options: EdgeOptions = {},
) {
  const key = credential ?? (await payer.issue()).key;
  const receiptKey = await generateReceiptKey("r1");
  const edge = edgeOf(
    { ...payer.bindings, RECEIPT_KEY: JSON.stringify(receiptKey), ...more },
    options,
  );
  const request = (body: string, headers: Record<string, string> = {}): RequestInit => ({
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers },
    body,
  });
  const ask = (body = x(1, 2, 3, 4), headers: Record<string, string> = {}, path = PATH) =>
    edge.send(path, request(body, headers));
  return { ...edge, ask, request, key };
}

export const codeOf = async (response: Response): Promise<unknown> => [
  response.status,
  ((await response.json()) as { code: string }).code,
];

/** The clock of the isolate, which stands still from now on. */
export function clockAt(start = Date.now()) {
  const clock = { now: start };
  vi.spyOn(Date, "now").mockImplementation(() => clock.now);
  return clock;
}
