import { describe, expect, it } from "vitest";

import {
  type CloudEvent,
  cloudEventOf,
  cloudEventsRequest,
  deliverCloudEvents,
} from "../../../src/billing/exports/cloudevents.ts";
import { NOON, exportedEvent } from "../support.ts";

const target = {
  url: "https://meter.test/api/v1/events",
  token: "om_1",
  source: "https://near.test",
};

const rows = ["a", "b", "c"].map((id, seq) => ({
  seq,
  target: "openmeter",
  event: exportedEvent({ id }),
  attempts: 0,
}));

/** A collector that knows events again by source and id, and refuses a batch with one that it dislikes. */
function collector({ dislikes = "", outages = 0 } = {}) {
  const seen = new Map<string, CloudEvent>();
  let requests = 0;
  const fetch = async (request: Request): Promise<Response> => {
    const events = (await request.json()) as CloudEvent[];
    if (events.some(({ id }) => id === dislikes)) return new Response("bad", { status: 400 });
    for (const event of events) seen.set(`${event.source} ${event.id}`, event);
    // The answer to the first ones is lost, or late.
    if (requests++ < outages) {
      if (requests % 2 === 0) throw new TypeError("connection reset");
      return new Response(null, { status: 503, headers: { "retry-after": "7" } });
    }
    return new Response(null, { status: 204 });
  };
  return { fetch, seen };
}

describe("a CloudEvent", () => {
  it("has what the standard requires, and what was used", () => {
    const event = exportedEvent({ id: "e-1", requestId: "r-1", variant: "canary" });
    expect(cloudEventOf(target, event)).toEqual({
      specversion: "1.0",
      id: "e-1",
      source: "https://near.test",
      type: "nearside.request",
      subject: "acc_a",
      time: new Date(NOON).toISOString(),
      datacontenttype: "application/json",
      data: {
        tokens: 10,
        request_id: "r-1",
        model: "m",
        version: 1,
        placement: "edge",
        variant: "canary",
        key: "key_1",
        price: "plain",
        requests: 1,
        amount_nano_usd: 130,
        list_amount_nano_usd: 130,
      },
    });
  });

  it("says what is charged, and the list price beside it", () => {
    const event = { ...exportedEvent(), net: 0 };
    expect(cloudEventOf(target, event).data).toMatchObject({
      amount_nano_usd: 0,
      list_amount_nano_usd: 130,
    });
  });

  it("can't have its own fields overwritten by a unit's name", () => {
    const event = { ...exportedEvent(), units: { requests: 9, amount_nano_usd: 0 } };
    expect(cloudEventOf(target, event).data).toMatchObject({ requests: 1, amount_nano_usd: 130 });
  });

  it("travels in a batch", async () => {
    const request = cloudEventsRequest(
      target,
      rows.map(({ event }) => event),
    );
    expect(request.headers.get("content-type")).toMatch(/^application\/cloudevents-batch\+json/);
    expect(request.headers.get("authorization")).toBe("Bearer om_1");
    expect(await request.json()).toHaveLength(3);
  });
});

describe("deliverCloudEvents", () => {
  it("tells the collector each once, through outages", async () => {
    const { fetch, seen } = collector({ outages: 2 });
    expect(await deliverCloudEvents(target, rows, fetch)).toEqual(
      rows.map(() => ({
        kind: "later",
        error: "The collector answered 503.",
        retryAfterSeconds: 7,
      })),
    );
    expect(await deliverCloudEvents(target, rows, fetch)).toMatchObject(
      rows.map(() => ({ kind: "later" })),
    );
    expect(await deliverCloudEvents(target, rows, fetch)).toEqual(
      rows.map(() => ({ kind: "delivered" })),
    );
    expect(seen.size).toBe(3);
  });

  it("puts aside the one that is no good, not those beside it", async () => {
    const { fetch, seen } = collector({ dislikes: "b" });
    expect(await deliverCloudEvents(target, rows, fetch)).toMatchObject([
      { kind: "delivered" },
      { kind: "never", error: "The collector answered 400." },
      { kind: "delivered" },
    ]);
    expect(seen.size).toBe(2);
  });

  it("sends nothing of nothing", async () => {
    expect(await deliverCloudEvents(target, [], () => Promise.reject(new Error("sent")))).toEqual(
      [],
    );
  });
});
