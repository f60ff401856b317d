import { env } from "cloudflare:workers";
import * as v from "valibot";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { Catalog } from "../../../src/catalog/catalog.ts";
import type { Manifest } from "../../../src/catalog/manifest.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import { edgeOf } from "../../support/edge.ts";
import { type Asked, failing, fakeOrigin, type Respond } from "../../support/fake-origin.ts";
import { manifestOf } from "../../support/manifests.ts";

const CHAT = "/v1/chat/completions";
const MESSAGES = [{ role: "user", content: "Say é." }];
const USAGE = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };

beforeAll(async () => {
  const writer = (name: string, version = 1): Manifest =>
    manifestOf({
      name,
      version,
      edge: false,
      task: { type: "text-generation", contextCharacters: 64 },
    });
  const pool = (protocol: string) => ({
    protocol,
    endpoints: [{ url: `https://${protocol}.example.com` }],
  });
  const one = (manifest: Manifest) => ({ versions: { 1: manifest }, labels: { stable: 1 } });
  const catalog = v.parse(Catalog, {
    schema: 1,
    number: 3,
    models: {
      scribe: { ...one(writer("scribe")), origin: { pool: "words" } },
      llama: {
        versions: { 1: writer("llama"), 2: writer("llama", 2) },
        labels: { stable: 1 },
        origin: {
          pool: "words",
          model: "meta/llama",
          versioned: true,
          limits: { maxBodyBytes: 200 },
        },
      },
      canary: {
        versions: { 1: writer("canary"), 2: writer("canary", 2) },
        labels: { stable: 2 },
        origin: { pool: "words" },
      },
      homeless: one(writer("homeless")),
      wrong: { ...one(writer("wrong")), origin: { pool: "tensors" } },
      iris: one(manifestOf({ name: "iris" })),
      off: { ...one(writer("off")), origin: { pool: "words" }, off: true },
    },
    pools: { words: pool("openai"), tensors: pool("open-inference") },
    flags: {
      flags: {
        canary: { state: "ENABLED", variants: { old: 1 }, defaultVariant: "old" },
        llama: {
          state: "ENABLED",
          variants: {
            next: { version: 2, placement: "origin" },
            old: { version: 1, placement: "origin" },
          },
          defaultVariant: "next",
          targeting: { if: [{ "==": [{ var: "targetingKey" }, "ada"] }, "old", "next"] },
        },
      },
    },
  });
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
});

afterEach(() => {
  vi.restoreAllMocks();
});

function edgeWith(respond: Respond) {
  const origin = fakeOrigin(respond);
  const edge = edgeOf({ ORIGIN: origin.binding });
  const chat = (body: object, path = CHAT) => edge.post(path, { messages: MESSAGES, ...body });
  return { ...edge, origin, chat };
}

const sent = (asked: Asked | undefined): unknown =>
  JSON.parse(new TextDecoder().decode(asked?.bytes));
const encoder = new TextEncoder();

const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;
const token = (content: string, more: object = {}) =>
  event({ choices: [{ index: 0, delta: { content } }], ...more });
const usageEvent = event({ choices: [], usage: USAGE });
const DONE = "data: [DONE]\n\n";

/** Server-sent events in the pieces that are given. */
const streaming =
  (...pieces: readonly (string | Uint8Array)[]): Respond =>
  () => {
    const left = [...pieces];
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const piece = left.shift();
        if (piece === undefined) controller.close();
        else controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };

describe("a completion", () => {
  const answer = { id: "1", choices: [{ message: { content: "é" } }], usage: USAGE };

  it("comes from the pool as the pool gives it", async () => {
    const { chat, origin, events } = edgeWith(() => Response.json(answer));
    const response = await chat({ model: "scribe", seed: 1 });
    expect(await response.json()).toEqual(answer);
    expect(sent(origin.asked[0])).toEqual({ messages: MESSAGES, model: "scribe", seed: 1 });
    expect(origin.asked[0]?.path).toBe("/pools/words/v1/chat/completions");
    expect(origin.asked[0]?.headers.get("accept")).toBe("application/json");
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/json",
      "nearside-model": "scribe",
      "nearside-version": "1",
      "nearside-placement": "origin",
      "nearside-placement-reason": "no_edge_build",
    });
    expect(events).toEqual([
      expect.objectContaining({
        model: "scribe",
        placement: "origin",
        placementReason: "no_edge_build",
        units: { prompt_tokens: 5, completion_tokens: 2 },
        outcome: "ok",
        status: 200,
        billed: true,
      }),
    ]);
  });

  it("of a flag's version asks for the model by the pool's name", async () => {
    const { chat, origin } = edgeWith(() => Response.json(answer));
    const { headers } = await chat({ model: "llama" });
    expect(sent(origin.asked[0])).toEqual({ messages: MESSAGES, model: "meta/llama" });
    expect([headers.get("nearside-version"), headers.get("nearside-variant")]).toEqual([
      "2",
      "next",
    ]);
    expect(headers.get("nearside-reason")).toBe("TARGETING_MATCH");
  });

  it("of a flag's version is chosen for the user that the body names", async () => {
    const { chat, origin } = edgeWith(() => Response.json(answer));
    const { headers } = await chat({ model: "llama", user: "ada" });
    expect(headers.get("nearside-variant")).toBe("old");
    expect(sent(origin.asked[0])).toMatchObject({ user: "ada" });
  });

  it.each<[string, object, string]>([
    ["v1/chat/completions", {}, "false"],
    ["v1/completions", { prompt: "Say é." }, "false"],
    ["v1/embeddings", { input: ["Say é."] }, "true"],
  ])("goes the same way from %s: %j, computed twice: %s", async (path, more, idempotent) => {
    const { chat, origin } = edgeWith(() => Response.json(answer));
    expect((await chat({ model: "scribe", ...more }, `/${path}`)).status).toBe(200);
    expect(origin.asked[0]?.path).toBe(`/pools/words/${path}`);
    expect(origin.asked[0]?.headers.get("nearside-idempotent")).toBe(idempotent);
  });

  it.each<[object, object]>([
    [{}, { prompt_tokens: 9e15, completion_tokens: 9e15 }],
    [
      { max_tokens: 3, n: 2 },
      { prompt_tokens: 5, completion_tokens: 100 },
    ],
  ])("with %j is not believed to have used %j", async (more, usage) => {
    const { chat, origin, events } = edgeWith(() => Response.json({ choices: [], usage }));
    await chat({ model: "scribe", ...more });
    const [counted] = events;
    expect(counted?.units["prompt_tokens"]).toBeLessThanOrEqual(origin.asked[0]?.bytes.length ?? 0);
    const most = "max_tokens" in more ? 6 : JSON.stringify({ choices: [], usage }).length;
    expect(counted?.units["completion_tokens"]).toBe(most);
  });

  it.each([[{}], [{ usage: null }], [{ usage: { prompt_tokens: -1, completion_tokens: "9" } }]])(
    "with the usage %j counts nothing",
    async (more) => {
      const { chat, events } = edgeWith(() => Response.json({ choices: [], ...more }));
      await chat({ model: "scribe" });
      expect(events).toMatchObject([{ units: {}, outcome: "ok" }]);
    },
  );
});

describe("a stream", () => {
  const pieces = [token("a"), token("b"), usageEvent, DONE];

  it("asks for the usage, counts it, and keeps it from a client that did not ask", async () => {
    const { chat, origin, events } = edgeWith(streaming(...pieces));
    const response = await chat({ model: "scribe", stream: true });
    expect(await response.text()).toBe(token("a") + token("b") + DONE);
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(sent(origin.asked[0])).toMatchObject({ stream_options: { include_usage: true } });
    expect(origin.asked[0]?.headers.get("accept")).toBe("text/event-stream");
    expect(events).toMatchObject([
      { units: { prompt_tokens: 5, completion_tokens: 2 }, outcome: "ok", billed: true },
    ]);
  });

  it("passes the usage to a client that asked", async () => {
    const { chat, origin, events } = edgeWith(streaming(...pieces));
    const asked = { model: "scribe", stream: true, stream_options: { include_usage: true } };
    expect(await (await chat(asked)).text()).toBe(pieces.join(""));
    expect(sent(origin.asked[0])).toEqual({ messages: MESSAGES, ...asked });
    expect(events).toMatchObject([{ units: { prompt_tokens: 5 } }]);
  });

  it("keeps the client's other options", async () => {
    const { chat, origin } = edgeWith(streaming(...pieces));
    await chat({ model: "scribe", stream: true, stream_options: { chunk: 1 } });
    expect(sent(origin.asked[0])).toMatchObject({
      stream_options: { chunk: 1, include_usage: true },
    });
  });

  it("keeps a last token that brings the usage along, and chunks whose usage is null", async () => {
    const text = token("a", { usage: null }) + token("b", { usage: USAGE }) + DONE;
    const { chat, events } = edgeWith(streaming(text));
    expect(await (await chat({ model: "scribe", stream: true })).text()).toBe(text);
    expect(events).toMatchObject([{ units: { completion_tokens: 2 } }]);
  });

  it.each<[string, string]>([
    ["an event of its own kind", 'event: error\ndata: {"error":{"message":"no"}}\n\n'],
    ["OpenAI's form", event({ error: { message: "no" } })],
  ])("that ends with an error in %s has failed, and counts what it brought", async (_, error) => {
    const text = token("a") + token("b") + error + DONE;
    const { chat, events } = edgeWith(streaming(text));
    expect(await (await chat({ model: "scribe", stream: true })).text()).toBe(text);
    expect(events).toMatchObject([
      { outcome: "origin_failed", status: 502, billed: false, units: { completion_tokens: 2 } },
    ]);
  });

  it.each<[string, string, number]>([
    ["the largest usage", token("a", { usage: { completion_tokens: 9 } }) + usageEvent, 9],
    ["its texts where no usage is told", token("a") + token("") + token("b"), 2],
    ["no more than the caller allows", token("a", { usage: { completion_tokens: 99 } }), 12],
    ["no more than bytes", token("a", { usage: { completion_tokens: 9e9 } }), 12],
  ])("counts %s", async (_, text, expected) => {
    const { chat, events } = edgeWith(streaming(text + DONE));
    await (await chat({ model: "scribe", stream: true, max_tokens: 12 })).text();
    expect(events).toMatchObject([{ outcome: "ok", units: { completion_tokens: expected } }]);
  });

  it.each([1, 2, 7, 64, 10_000])("is the same however it is cut: every %i bytes", async (size) => {
    const lines = [
      token("é"),
      "event: ping\r\ndata: {}\r\n\r\n",
      ": comment\n\n",
      usageEvent,
      DONE,
    ];
    const bytes = encoder.encode(lines.join(""));
    const cut = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.slice(index * size, (index + 1) * size),
    );
    const { chat, events } = edgeWith(streaming(...cut));
    const text = await (await chat({ model: "scribe", stream: true })).text();
    expect(text).toBe(lines.filter((line) => line !== usageEvent).join(""));
    expect(events).toMatchObject([{ units: { prompt_tokens: 5, completion_tokens: 2 } }]);
  });

  it("gives each token as it comes, and takes the next only when it is taken", async () => {
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulls++;
          controller.enqueue(encoder.encode(token(String(pulls))));
        },
      },
      { highWaterMark: 0 },
    );
    const headers = { "content-type": "text/event-stream" };
    const { begin, events } = edgeWith(() => new Response(body, { headers }));
    const { response, settled } = await begin(CHAT, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "scribe", stream: true, messages: MESSAGES }),
    });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toBe(token("1"));
    await scheduler.wait(0);
    expect(pulls).toBeLessThanOrEqual(2);
    await reader?.cancel();
    await settled();
    expect(events).toMatchObject([{ outcome: "cancelled", status: 499, billed: false }]);
  });

  it("that breaks off ends with an error that clients read", async () => {
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (pulls++ === 0) controller.enqueue(encoder.encode(token("a")));
        else controller.error(new Error("secret: reset"));
      },
    });
    const headers = { "content-type": "text/event-stream" };
    const { chat, events } = edgeWith(() => new Response(body, { headers }));
    const text = await (await chat({ model: "scribe", stream: true })).text();
    expect(text).toBe(
      token("a") +
        event({
          error: {
            message: "The model's origin pool broke off.",
            type: "server_error",
            param: null,
            code: "origin_failed",
          },
        }),
    );
    expect(events).toMatchObject([{ outcome: "origin_failed", status: 502, billed: false }]);
  });

  it("with an event that never ends is given up", async () => {
    const piece = "x".repeat(400_000);
    const { chat } = edgeWith(streaming("data: ", piece, piece, piece));
    const text = await (await chat({ model: "scribe", stream: true })).text();
    expect(text).toContain("origin_failed");
    expect(text).not.toContain("xxx");
  });

  it("may be refused by the pool with JSON", async () => {
    const { chat } = edgeWith(() => Response.json({ choices: [] }));
    const response = await chat({ model: "scribe", stream: true });
    expect([response.headers.get("content-type"), await response.json()]).toEqual([
      "application/json",
      { choices: [] },
    ]);
  });
});

describe("an error on OpenAI's routes", () => {
  const openAiError = async (response: Response) => ({
    status: response.status,
    ...(await response.json<{ error: object }>()).error,
  });

  it.each<[number, string, string | null, object, Record<string, string>]>([
    [404, "model_not_found", "model", { model: "gpt-4" }, {}],
    [404, "model_not_found", "model", { model: "constructor" }, {}],
    [503, "model_off", "model", { model: "off" }, {}],
    [400, "invalid_request", "model", {}, {}],
    [400, "invalid_request", "model", { model: 7 }, {}],
    [400, "invalid_request", "model", { model: "iris" }, {}],
    [400, "invalid_request", "stream", { model: "scribe", stream: "yes" }, {}],
    [422, "no_edge_build", "model", { model: "homeless" }, {}],
    [422, "no_edge_build", "model", { model: "wrong" }, {}],
    [422, "no_edge_build", "model", { model: "scribe" }, { "nearside-placement": "edge" }],
    [413, "body_too_large", null, { model: "llama", padding: "x".repeat(200) }, {}],
    [
      403,
      "override_forbidden",
      "nearside-override",
      { model: "scribe" },
      { "nearside-override": "2" },
    ],
    [415, "unsupported_media_type", "content-type", {}, { "content-type": "text/plain" }],
  ])("%i %s is in OpenAI's form, about %s: %j", async (status, code, param, body, headers) => {
    const { send, origin } = edgeWith(() => Response.json({}));
    const response = await send(CHAT, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const types: Record<number, string> = { 403: "permission_error", 503: "server_error" };
    expect(await openAiError(response)).toEqual({
      status,
      message: expect.any(String),
      type: types[status] ?? "invalid_request_error",
      param,
      code,
    });
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(origin.asked).toEqual([]);
  });

  it.each([
    ["origin_overloaded", 503, "7"],
    ["origin_timeout", 504, undefined],
    ["origin_rejected", 422, undefined],
  ])("says %s without the pool's words", async (code, status, retryAfter) => {
    const { chat, events } = edgeWith(failing(code, status, retryAfter));
    const response = await chat({ model: "scribe", stream: true });
    const text = await response.clone().text();
    expect(await openAiError(response)).toMatchObject({ status, code });
    expect([response.headers.get("retry-after"), text.includes("secret")]).toEqual([
      retryAfter ?? null,
      false,
    ]);
    expect(events).toMatchObject([{ outcome: code, status, billed: false, placement: "origin" }]);
  });

  it.each([
    ["HTML", () => new Response("<h1>hello</h1>")],
    ["half of it", () => new Response('{"choices": [')],
    ["a list", () => Response.json([])],
    ["an error", () => Response.json({ error: { message: "no" } })],
    [
      "JSON that says it is HTML",
      () => new Response("{}", { headers: { "content-type": "text/html" } }),
    ],
    ["a stream that nobody asked for", streaming(token("a"), DONE)],
    ["more than the edge holds", () => new Response(endless(), JSON_HEADERS)],
  ])("is origin_failed when the pool answers %s", async (_, respond) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { chat } = edgeWith(respond);
    expect(await openAiError(await chat({ model: "scribe" }))).toMatchObject({
      status: 502,
      code: "origin_failed",
    });
  });

  it("is in the same form for a method or JSON that is wrong", async () => {
    const { send } = edgeWith(() => Response.json({}));
    expect(await openAiError(await send(CHAT))).toMatchObject({ code: "method_not_allowed" });
    const headers = { "content-type": "application/json" };
    const response = await send(CHAT, { method: "POST", headers, body: "{" });
    expect(await openAiError(response)).toMatchObject({ status: 400, code: "invalid_json" });
  });
});

const JSON_HEADERS = { headers: { "content-type": "application/json" } };

function endless(): ReadableStream<Uint8Array> {
  const spaces = new Uint8Array(256 * 1024).fill(0x20);
  return new ReadableStream({ pull: (controller) => controller.enqueue(spaces) });
}

describe("what a server says of a request", () => {
  const refusing = (status: number): Respond => {
    return () =>
      Response.json(
        { code: "origin_rejected", detail: `The origin pool refused it (status ${status}).` },
        { status: 422 },
      );
  };

  it.each([
    [400, 400, "invalid_request"],
    [413, 413, "body_too_large"],
    [404, 422, "origin_rejected"],
  ])("by %i is %i %s to the caller", async (status, expected, code) => {
    const { chat } = edgeWith(refusing(status));
    const response = await chat({ model: "scribe" });
    expect([response.status, await response.json()]).toMatchObject([
      expected,
      { error: { code, type: "invalid_request_error" } },
    ]);
  });
});

describe("a request that no pool may answer", () => {
  it.each<[string, Record<string, string>]>([
    ["canary", {}],
    ["scribe", { "nearside-hop": "1" }],
  ])("for %s with %j is refused", async (model, headers) => {
    const { send, origin } = edgeWith(() => Response.json({}));
    const response = await send(CHAT, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model, messages: MESSAGES }),
    });
    expect(await response.json()).toMatchObject({
      error: { code: "no_edge_build", message: expect.stringContaining("origin pool") },
    });
    expect(origin.asked).toEqual([]);
  });
});

describe("GET /v1/models", () => {
  it("lists the models that these routes answer", async () => {
    const { send } = edgeWith(() => Response.json({}));
    const list = await (await send("/v1/models")).json<{ data: { id: string }[] }>();
    expect(list).toMatchObject({ object: "list" });
    expect(list.data.map(({ id }) => id)).toEqual(["scribe", "llama", "canary"]);
    expect(await (await send("/v1/models/scribe")).json()).toEqual({
      id: "scribe",
      object: "model",
      created: 0,
      owned_by: "nearside",
    });
    expect((await send("/v1/models/iris")).status).toBe(404);
  });
});
