import { describe, expect, it } from "vitest";

import { MAX_BUFFERED_BYTES } from "../../../src/origin/send.ts";
import { type Endpoint, originOf as originWith, streamed } from "../../support/origin-worker.ts";

const EVENTS = { "content-type": "text/event-stream" };
const all = (endpoint: Endpoint) => ({ a: endpoint, b: endpoint, c: endpoint, d: endpoint });

/** The origin Worker over a pool of engines that write texts. */
function originOf({ pool = {}, ...options }: Parameters<typeof originWith>[0] = {}) {
  const origin = originWith({ ...options, pool: { protocol: "openai", ...pool } });
  const ask = (headers: Record<string, string> = {}, init: RequestInit = {}) =>
    origin.ask(headers, init, "/pools/gpu/v1/completions");
  return { ...origin, ask };
}

/** The origin Worker over endpoints that all give this one stream. */
function streaming(headers: Record<string, string>, pool: Record<string, unknown> = {}) {
  let cancelled = false;
  const stream = streamed(headers, { cancelled: () => (cancelled = true) });
  const origin = originOf({ endpoints: all(async () => stream.response), pool });
  return { ...origin, ...stream, cancelled: () => cancelled };
}

async function readerOf(response: Response) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) throw new Error("There is no body.");
  return {
    next: async () => (await reader.read()).value,
    rest: async () => {
      let text = "";
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        text += read.value;
      }
      return text;
    },
    cancel: () => reader.cancel(),
  };
}

describe("a stream of events", () => {
  it("passes piece by piece, as the endpoint writes it", async () => {
    const { ask, write, close, counters } = streaming(EVENTS);
    write("data: 1\n\n");
    const response = await ask();
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const reader = await readerOf(response);
    expect(await reader.next()).toBe("data: 1\n\n");
    write("data: 2\n\n");
    expect(await reader.next()).toBe("data: 2\n\n");
    expect(counters()).toMatchObject({ inFlight: 1, answered: 0 });
    close();
    expect(await reader.rest()).toBe("");
    await expect.poll(() => counters()).toMatchObject({ inFlight: 0, answered: 1 });
  });

  it("that stalls ends with an error event, and its endpoint is told to stop", async () => {
    const { ask, write, counters, cancelled } = streaming(EVENTS, { idleMs: 30 });
    write("data: 1\n\n");
    const text = await (await readerOf(await ask())).rest();
    expect(text).toMatch(/^data: 1\n\nevent: error\ndata: \{.*"code":"origin_timeout".*\}\n\n$/);
    await expect.poll(cancelled).toBe(true);
    await expect.poll(() => counters()).toMatchObject({ inFlight: 0, failed: 1 });
  });

  it("does not count a slow reader as a stall", async () => {
    const { ask, write, close } = streaming(EVENTS, { idleMs: 30 });
    write("data: 1\n\n");
    const response = await ask();
    write("data: 2\n\n");
    await new Promise((resolve) => setTimeout(resolve, 80));
    close();
    expect(await (await readerOf(response)).rest()).toBe("data: 1\n\ndata: 2\n\n");
  });

  it("that breaks off inside an event still ends with one that can be read", async () => {
    const { ask, write, fail } = streaming(EVENTS);
    write('data: 1\n\ndata: {"a');
    const reader = await readerOf(await ask());
    expect(await reader.next()).toBe('data: 1\n\ndata: {"a');
    fail();
    expect(await reader.rest()).toMatch(/^\n\nevent: error\ndata: \{.*"code":"origin_failed"/);
  });

  it("that breaks off before it began is asked for elsewhere", async () => {
    const { response, fail } = streamed(EVENTS);
    fail();
    const good: Endpoint = async () => new Response("data: 1\n\n", { headers: EVENTS });
    const { ask } = originOf({ endpoints: { ...all(good), a: async () => response.clone() } });
    for (let request = 0; request < 8; request++) {
      expect(await (await ask()).text()).toBe("data: 1\n\n");
    }
  });

  it("whose first event comes in pieces is passed on with it", async () => {
    const { ask, write, close } = streaming(EVENTS);
    write(": ping\n\nda");
    write("ta: 1\r");
    const asked = ask();
    write("\n\r\ndata: 2");
    close();
    expect(await (await asked).text()).toBe(": ping\n\ndata: 1\r\n\r\ndata: 2");
  });

  it.each([
    ["an error", 'data: {"error":{"message":"secret"}}\n\n'],
    ["an error after a sign of life", ": ping\n\nevent: error\ndata: {}\n\n"],
    ["nothing", ""],
    ["only signs of life", ": ping\n\n"],
    ["words of no protocol", "data: Service Unavailable\n\n"],
  ])("that begins with %s is asked for elsewhere", async (_, text) => {
    const good: Endpoint = async () => new Response("data: 1\n\n", { headers: EVENTS });
    const bad: Endpoint = async () => new Response(text, { headers: EVENTS });
    const { ask } = originOf({ endpoints: { ...all(good), a: bad } });
    for (let request = 0; request < 8; request++) {
      expect(await (await ask()).text()).toBe("data: 1\n\n");
    }
    const none = originOf({ endpoints: all(bad) });
    const response = await none.ask();
    expect(response.status).toBe(502);
    expect(await response.text()).not.toContain("secret");
  });

  it("is cancelled at its endpoint when the caller stops reading", async () => {
    const { ask, write, counters, cancelled } = streaming(EVENTS);
    write("data: 1\n\n");
    const reader = await readerOf(await ask());
    await reader.next();
    await reader.cancel();
    // Between streams of one isolate this is noticed by the next piece; between Workers, at once.
    write("data: 2\n\n");
    await expect.poll(cancelled).toBe(true);
    await expect.poll(() => counters()).toMatchObject({ inFlight: 0, abandoned: 1, failed: 0 });
  });

  it("is cancelled at its endpoint when the caller's request is aborted", async () => {
    const { ask, write, counters, cancelled } = streaming(EVENTS);
    const caller = new AbortController();
    write("data: 1\n\n");
    await ask({}, { signal: caller.signal });
    caller.abort();
    await expect.poll(cancelled).toBe(true);
    await expect.poll(() => counters()).toMatchObject({ inFlight: 0, abandoned: 1 });
  });
});

describe("an answer of bytes", () => {
  const large = new Uint8Array(MAX_BUFFERED_BYTES * 2).fill(7);

  it.each([
    ["with its length", { "content-length": `${large.length}` }],
    ["without one", {}],
  ])("passes whole when it is large, %s", async (_, headers) => {
    const endpoint: Endpoint = async () => {
      const { readable, writable } = new FixedLengthStream(large.length);
      const body =
        "content-length" in headers ? readable : readable.pipeThrough(new TransformStream());
      void new Response(large).body?.pipeTo(writable);
      return new Response(body, { headers: { "content-type": "application/json", ...headers } });
    };
    const { ask, counters } = originOf({ endpoints: all(endpoint) });
    const response = await ask();
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(large);
    await expect.poll(() => counters()).toMatchObject({ inFlight: 0, answered: 1 });
  });

  it("is cut off where its endpoint broke off, and never ends as if it were whole", async () => {
    const headers = { "content-type": "application/json" };
    const { ask, write, fail, counters } = streaming(headers);
    write("x".repeat(MAX_BUFFERED_BYTES + 1));
    const response = await ask();
    fail();
    await expect(response.arrayBuffer()).rejects.toThrow(/broken/);
    await expect.poll(() => counters()).toMatchObject({ inFlight: 0, failed: 1 });
  });
});

describe("a caller who leaves before the answer", () => {
  it("ends the attempt, which counts against nobody", async () => {
    let aborted = false;
    const hanging: Endpoint = (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          aborted = true;
          reject(signal.reason as Error);
        });
      });
    const { ask, counters } = originOf({ endpoints: all(hanging) });
    const caller = new AbortController();
    const answer = ask({}, { signal: caller.signal });
    await expect.poll(() => counters()?.attempts).toBe(1);
    caller.abort();
    await answer;
    expect(aborted).toBe(true);
    expect(counters()).toMatchObject({ abandoned: 1, failed: 0, inFlight: 0, retries: 0 });
  });

  it("leaves the queue", async () => {
    const never: Endpoint = () => new Promise(() => {});
    const { ask, counters } = originOf({ endpoints: all(never), pool: { maxInFlight: 1 } });
    const [first, second] = [new AbortController(), new AbortController()];
    const answers = [ask({}, { signal: first.signal }), ask({}, { signal: second.signal })];
    await expect.poll(() => counters()?.waiting).toBe(1);
    second.abort();
    await answers[1];
    expect(counters()).toMatchObject({ waiting: 0, inFlight: 1 });
    first.abort();
  });
});
