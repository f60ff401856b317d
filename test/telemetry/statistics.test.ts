import { describe, expect, it } from "vitest";

import { StatisticsReader } from "../../src/telemetry/statistics.ts";

function readerOf() {
  const asked: string[] = [];
  const reader = new StatisticsReader({
    counts: async (models) => {
      asked.push(models.join());
      return Object.fromEntries(models.map((name) => [name, []]));
    },
  });
  return { asked, reader };
}

describe("StatisticsReader", () => {
  it("tells again what it was told of the same models some seconds ago, and when", async () => {
    const { asked, reader } = readerOf();
    const first = await reader.counts(["a", "b"], 1_000);
    expect(first).toEqual({ counts: { a: [], b: [] }, at: 1_000 });
    expect(await reader.counts(["a", "b"], 5_999)).toMatchObject(first);
    expect(asked).toEqual(["a,b"]);
    expect((await reader.counts(["a", "b"], 6_000)).at).toBe(6_000);
    expect(asked).toEqual(["a,b", "a,b"]);
  });

  it("asks for other models, and keeps one answer only", async () => {
    const { asked, reader } = readerOf();
    for (const models of [
      ["a", "b"],
      ["a", "c"],
      ["a", "b"],
    ])
      await reader.counts(models, 0);
    expect(asked).toEqual(["a,b", "a,c", "a,b"]);
  });

  it("asks for one model each time: that is one object", async () => {
    const { asked, reader } = readerOf();
    await reader.counts(["a"], 0);
    await reader.counts(["a"], 0);
    expect(asked).toEqual(["a", "a"]);
  });

  it("keeps no failure, and shares no promise", async () => {
    let isAway = true;
    const reader = new StatisticsReader({
      counts: () => (isAway ? Promise.reject(new Error("away")) : Promise.resolve({})),
    });
    await expect(reader.counts(["a", "b"], 0)).rejects.toThrow("away");
    isAway = false;
    expect(await reader.counts(["a", "b"], 0)).toEqual({ counts: {}, at: 0 });
  });
});
