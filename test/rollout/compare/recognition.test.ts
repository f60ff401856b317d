import { describe, expect, it } from "vitest";

import { compareRecognitions } from "../../../src/rollout/compare/recognition.ts";

const box = (x: number) => [
  [x, 0],
  [x + 100, 0],
  [x + 100, 20],
  [x, 20],
];

const page = (text: string, x = 0) => [
  { generated_text: text, lines: [{ text, score: 0.9, box: box(x) }] },
];

describe("compareRecognitions", () => {
  it.each([
    ["the same", page("total 12"), page("total 12"), 0],
    ["another letter", page("total 12"), page("total 17"), 1 / 8],
    ["the same text elsewhere", page("total 12"), page("total 12", 50), 2 / 3],
    ["nothing", page("total 12"), [{ generated_text: "", lines: [] }], 1],
    ["no page", page("total 12"), 7, 1],
  ])("measures %s", (_title, a, b, distance) => {
    expect(compareRecognitions(a, b)).toEqual({
      kind: "text",
      items: 1,
      flips: 0,
      distances: [expect.closeTo(distance, 9)],
    });
    expect(compareRecognitions(b, a)).toEqual(compareRecognitions(a, b));
  });

  it("compares several pages one by one", () => {
    const { items, distances } = compareRecognitions(
      [page("one"), page("two")],
      [page("one"), page("tow")],
    );
    expect([items, distances[0], distances[1]]).toEqual([2, 0, expect.closeTo(2 / 3, 9)]);
  });

  it("takes a page that a client of Hugging Face gets as an object", () => {
    expect(compareRecognitions(page("one")[0], page("one")).distances).toEqual([0]);
  });
});
