import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type FaultPair,
  type MatrixResult,
  runFaultMatrix,
} from "../../src/cli/prove/origin/faults.ts";
import { FaultyEndpoint } from "../../src/cli/prove/origin/faulty-endpoint.ts";
import { EDGE, ORIGIN } from "../../src/cli/bundle.ts";
import { type LocalStack, bundleWorkers, startLocalStack } from "../../src/cli/local-stack.ts";
import { type OriginStack, startOrigin } from "../../src/cli/prove/origin/origin-stack.ts";

/** Each fault once; `npm run prove -- origin` breaks every two of them. */
const PAIRS: readonly FaultPair[] = [
  ["refuse", "hang"],
  ["reset", "skew"],
  ["error", "corrupt"],
  ["slow", "length"],
  ["stall", "reset"],
  ["apology", "page"],
  ["empty", "hang"],
];

describe("two of four endpoints break under load", () => {
  let result: MatrixResult;
  beforeAll(async () => {
    result = await runFaultMatrix(PAIRS, { perSecond: 60, healthyMs: 1_500, brokenMs: 2_000 });
  });

  it("and next to nobody hears of it", () => {
    expect(result.requests).toBeGreaterThan(500);
    // One in a thousand, of a few hundred requests a pair.
    expect(result.failures).toBeLessThanOrEqual(Math.ceil(result.requests / 1_000));
  });

  it.each(PAIRS.map((pair, at) => [pair.join(" and "), at] as const))(
    "%s: retries and hedges stay within the budget",
    (_, at) => {
      const pair = result.pairs.find(({ pair: one }) => one === PAIRS[at]);
      expect(pair?.retries).toBeGreaterThan(0);
      expect((pair?.retries ?? 0) + (pair?.hedges ?? 0)).toBeLessThanOrEqual(pair?.allowed ?? 0);
    },
  );

  it("and take part again when they are repaired", () => {
    expect(result.recovered).toBe(true);
  });
});

describe("the origin Worker of the local stack", () => {
  let stack: LocalStack;
  beforeAll(async () => {
    await bundleWorkers();
    stack = await startLocalStack({ edgePort: 0 });
  });
  afterAll(() => stack?.stop());

  it("has no socket: it signs what it is sent, so only the edge may send it anything", async () => {
    expect(await stack.miniflare.unsafeGetDirectURL(EDGE.name)).toBeInstanceOf(URL);
    await expect(stack.miniflare.unsafeGetDirectURL(ORIGIN.name)).rejects.toThrow(
      /Direct access disabled/,
    );
  });

  it("tells nobody of its pools", async () => {
    const worker = await stack.miniflare.getWorker(ORIGIN.name);
    expect((await worker.fetch("https://origin.invalid/pools")).status).toBe(404);
  });
});

describe("a stream through the origin Worker, on real sockets", () => {
  let stack: OriginStack;
  let endpoint: FaultyEndpoint;
  beforeAll(async () => {
    stack = await startOrigin(async (keys) => {
      endpoint = await new FaultyEndpoint(keys).start();
      return {
        gpu: {
          protocol: "openai",
          allowPrivate: true,
          idleMs: 200,
          endpoints: [{ url: endpoint.url }],
        },
      };
    });
  });
  afterAll(async () => {
    await stack?.stop();
    await endpoint?.stop();
  });

  const ask = (signal?: AbortSignal): Promise<Response> =>
    fetch(`${stack.url}/pools/gpu/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify({ id: "1", events: true }),
      ...(signal && { signal }),
    });

  it("begins before the endpoint has written its last event", async () => {
    const reader = (await ask()).body?.pipeThrough(new TextDecoderStream()).getReader();
    const first = await reader?.read();
    expect(first?.value).toBe("data: 0\n\n");
    expect(endpoint.counts.answered).toBe(0);
    let rest = "";
    for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
      rest += read.value;
    }
    expect(rest).toMatch(/data: 4\n\ndata: \[DONE\]\n\n$/);
    await expect.poll(() => endpoint.counts.answered).toBe(1);
  });

  it("is stopped at the endpoint when the caller leaves", async () => {
    const caller = new AbortController();
    const cancelled = endpoint.counts.cancelled;
    const response = await ask(caller.signal);
    await response.body?.getReader().read();
    caller.abort();
    await expect.poll(() => endpoint.counts.cancelled).toBe(cancelled + 1);
    await expect
      .poll(async () => (await stack.report())["gpu"])
      .toMatchObject({ inFlight: 0, abandoned: 1 });
  });

  it("ends with an error event when the endpoint stops writing", async () => {
    await endpoint.become("stall");
    expect(await (await ask()).text()).toMatch(/^data: 0\n\nevent: error\ndata: .*origin_timeout/);
    await expect.poll(async () => (await stack.report())["gpu"]?.inFlight).toBe(0);
  });

  it("ends with an error event when the endpoint breaks off", async () => {
    await endpoint.become("reset");
    expect(await (await ask()).text()).toMatch(/^data: 0\n\nevent: error\ndata: .*origin_failed/);
  });
});
