import { createMessageBatch, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";

import type { RequestEvent } from "../../../src/billing/usage-event.ts";
import control from "../../../workers/control/index.ts";
import { edgeOf } from "../../support/edge.ts";
import { linearGraph } from "../../support/graphs.ts";
import { publishGraph, putCatalog } from "../../support/publish-graph.ts";
import { requestEvent, shadowEvent } from "../../support/usage-events.ts";

const service = exports.Statistics;

let models = 0;
/** A model that nobody has counted for. */
const fresh = () => {
  const model = `counted-${models++}`;
  const object = env.MODEL_ROLLOUTS.getByName(model);
  return {
    model,
    object,
    record: (events: Parameters<typeof object.record>[0]) => object.record(events),
    counts: async () => (await service.counts([model]))[model],
  };
};

const SUM = { count: 0, ns: 0 };

describe("counts of a model's requests", () => {
  it("adds up by version what succeeded and what failed", async () => {
    const { record, counts } = fresh();
    await record([
      requestEvent({ at: 50, milliseconds: 1.5 }),
      requestEvent({ at: 70, milliseconds: 2 }),
      requestEvent({ at: 60, milliseconds: 0.25, outcome: "invalid_tensor", status: 400 }),
      requestEvent({ at: 10, version: 2, milliseconds: 3, placement: "origin" }),
    ]);
    await record([requestEvent({ at: 40, milliseconds: 1 })]);
    expect(await counts()).toEqual([
      {
        version: 1,
        first: 40,
        last: 70,
        success: { count: 3, ns: 4_500_000 },
        fail: { count: 1, ns: 250_000 },
      },
      { version: 2, first: 10, last: 10, success: { count: 1, ns: 3_000_000 }, fail: SUM },
    ]);
  });

  it("does not count shadows, which nobody asked for", async () => {
    const { record, counts } = fresh();
    await record([shadowEvent()]);
    expect(await counts()).toEqual([]);
  });

  it("counts each event once, in whatever batches it comes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(5), { maxLength: 6 }), { minLength: 1, maxLength: 5 }),
        async (batches) => {
          const { record, counts } = fresh();
          const events: RequestEvent[] = Array.from({ length: 6 }, () => requestEvent());
          for (const batch of batches) {
            await record(batch.flatMap((index) => events[index] ?? []));
          }
          const distinct = new Set(batches.flat()).size;
          const [row] = (await counts()) ?? [];
          expect(row?.success ?? SUM).toEqual({ count: distinct, ns: distinct * 1_000_000 });
        },
      ),
      { numRuns: 15 },
    );
  });

  it("outlives its object, and tells of several models at once", async () => {
    const [one, two] = [fresh(), fresh()];
    await one.record([requestEvent()]);
    await evictDurableObject(one.object);
    const counts = await service.counts([one.model, two.model]);
    expect(counts).toMatchObject({ [one.model]: [{ success: { count: 1 } }], [two.model]: [] });
  });

  it("waits for what can't be billed yet, which comes again", async () => {
    const { object, counts } = fresh();
    const [billed, later] = [requestEvent(), requestEvent()];
    await object.record([billed, later], [later.id]);
    expect(await counts()).toMatchObject([{ success: { count: 1 } }]);
    await object.record([later], []);
    expect(await counts()).toMatchObject([{ success: { count: 2 } }]);
  });

  it("counts once what is counted though no alarm can be set", async () => {
    const { record, counts, object } = fresh();
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    await runInDurableObject(object, (_, { storage }) => {
      vi.spyOn(storage, "getAlarm").mockRejectedValueOnce(new Error("away"));
    });
    await record([requestEvent()]);
    expect(JSON.stringify(error.mock.calls)).toContain("alarm_not_set");
    error.mockRestore();
    expect(await counts()).toMatchObject([{ success: { count: 1 } }]);
  });

  it("remembers a shadow for as long as it keeps coming", async () => {
    const { record, object } = fresh();
    const event = shadowEvent();
    await record([event]);
    const seenAt = () =>
      runInDurableObject(object, (_, { storage }) => {
        storage.sql.exec("UPDATE seen SET at = at - 1000000");
        return storage.sql.exec<{ at: number }>("SELECT at FROM seen").one().at;
      });
    const before = await seenAt();
    await record([event]);
    expect((await seenAt()) - before).toBeGreaterThanOrEqual(0);
  });
});

describe("the edge's statistics", () => {
  it("are what its requests have told the queue, whichever isolate answered", async () => {
    const { model } = fresh();
    await putCatalog(env.CATALOG, [await publishGraph(env.MODELS, model, linearGraph(2, 2))]);
    const edge = edgeOf({ STATISTICS: service });
    const edges = [edge, edgeOf()];
    const good = [{ name: "x", datatype: "FP32", shape: [1, 2], data: [1, 2] }];
    for (const { infer } of edges) {
      expect((await infer(model, good)).status).toBe(200);
      expect((await infer(model, [])).status).toBe(400);
    }
    const messages = edges
      .flatMap(({ events }) => events)
      .map((body) => ({ id: body.id, timestamp: new Date(), attempts: 1, body }));
    await control.queue(createMessageBatch("usage", [...messages, ...messages]), env);
    const response = await edge.send(`/v2/models/${model}/stats`);
    expect(await response.json()).toMatchObject({
      model_stats: [
        { inference_count: 2, inference_stats: { success: { count: 2 }, fail: { count: 2 } } },
      ],
    });
  });
});
