import { describe, expect, it } from "vitest";

import { checkHealth } from "../../../src/origin/health-check.ts";
import { HEALTH_KV_KEY } from "../../../src/origin/health-reader.ts";
import { SimulatedClock } from "../../origin/support.ts";
import { ENDPOINTS, hanging, originOf, status } from "../../support/origin-worker.ts";

describe("the cron's look at the endpoints", () => {
  it("asks each whether it is ready, signed, and keeps what it heard", async () => {
    const { context, namespace, values, sent, logged } = originOf({
      endpoints: {
        a: status(503),
        b: () => Promise.reject(new Error("Network connection lost.")),
        c: status(302, { location: "https://a.example.com" }),
      },
    });
    await checkHealth(namespace, context);
    const { gpu } = JSON.parse(values[HEALTH_KV_KEY] ?? "") as {
      gpu: Record<string, { healthy: boolean; at: number }>;
    };
    expect(sent.length).toBe(4);
    expect(ENDPOINTS.map((url) => gpu[url]?.healthy)).toEqual([false, false, false, true]);
    expect(sent.every(({ headers }) => headers.get("nearside-hop") === "1")).toBe(true);
    expect(sent.map(({ url }) => new URL(url).pathname)).toEqual(Array(4).fill("/v2/health/ready"));
    expect(sent.every(({ headers }) => headers.has("signature"))).toBe(true);
    expect(logged.filter(({ event }) => event === "endpoint_unhealthy").length).toBe(3);
  });

  it("asks what OpenAI's engines have: the list of their models", async () => {
    const { context, namespace, sent } = originOf({
      pool: { protocol: "openai", endpoints: [{ url: "https://a.example.com/v1" }] },
    });
    await checkHealth(namespace, context);
    expect(sent.map(({ url }) => url)).toEqual(["https://a.example.com/v1/models"]);
  });

  it("shows its credentials, too", async () => {
    const { context, namespace, sent } = originOf({
      pool: {
        endpoints: ["a", "b"].map((name) => ({
          url: `https://${name}.example.com`,
          secretRef: `ORIGIN_SECRET_${name.toUpperCase()}`,
        })),
      },
      secrets: { ORIGIN_SECRET_A: "hunter2" },
    });
    const { gpu } = await checkHealth(namespace, context);
    expect(sent.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer hunter2"]);
    expect(gpu).toMatchObject({
      "https://a.example.com": { healthy: true },
      "https://b.example.com": { healthy: false },
    });
  });

  it("is over within a minute, however many are dead", async () => {
    const urls = Array.from({ length: 200 }, (_, at) => `https://dead-${at}.example.com`);
    const { context, namespace } = originOf({
      endpoints: { d: hanging },
      pool: { endpoints: urls.map((url) => ({ url })) },
    });
    const clock = new SimulatedClock();
    const over = checkHealth(namespace, { ...context, clock, now: () => clock.now() });
    const passed = async (): Promise<void> => {
      for (let step = 0; step < 600; step++) {
        // Until every check that is under way has set its timer.
        await new Promise((resolve) => setTimeout(resolve));
        clock.advance(100);
      }
    };
    const { gpu = {} } = (await Promise.race([over, passed()])) ?? {};
    expect(clock.now()).toBeLessThan(60_000);
    expect(Object.values(gpu).every(({ healthy }) => !healthy)).toBe(true);
    expect(Object.keys(gpu).length).toBe(200);
  });

  it("waits for nobody for ever", async () => {
    const { context, namespace } = originOf({ endpoints: { a: hanging } });
    const impatient = {
      ...context,
      clock: {
        ...context.clock,
        after: (_: number, callback: () => void) => {
          queueMicrotask(callback);
          return () => {};
        },
      },
    };
    expect(
      (await checkHealth(namespace, impatient))["gpu"]?.["https://a.example.com"],
    ).toMatchObject({ healthy: false });
  });

  it("reaches the isolates: what can't be read changes nothing", async () => {
    const { context, namespace, isolate, values } = originOf({ endpoints: { a: status(500) } });
    await checkHealth(namespace, context);
    let now = 0;
    const reading: Promise<unknown>[] = [];
    const reader = {
      now: () => now,
      waitUntil: (read: Promise<unknown>) => void reading.push(read),
    };
    expect(isolate.health.get(reader)).toEqual({});
    await Promise.all(reading);
    const read = isolate.health.get(reader);
    expect(read["gpu"]?.["https://a.example.com"]?.healthy).toBe(false);
    values[HEALTH_KV_KEY] = "{";
    now = 20_000;
    isolate.health.get(reader);
    await Promise.all(reading);
    expect(isolate.health.get(reader)).toBe(read);
    expect(reading.length).toBe(2);
  });
});
