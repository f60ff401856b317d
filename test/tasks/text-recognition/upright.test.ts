import { describe, expect, it } from "vitest";

import type { Tensor } from "../../../src/runtime/tensor.ts";
import { runHere } from "../../../src/tasks/drive.ts";
import type { TensorRunner } from "../../../src/tasks/task.ts";
import { upright } from "../../../src/tasks/text-recognition/upright.ts";
import { blankPage, rectangle } from "./support.ts";

const READER = {
  pageSide: 896,
  tileSide: 320,
  linesPerRun: 1,
  maxLineWidth: 960,
  characters: ["a"],
};

/** Dark in the upper half of each line: the recogniser below is sure of text that is dark above. */
const page = blankPage(400, 100);
for (let y = 20; y < 40; y++) page.data.fill(0, y * 400 * 4, (y + 1) * 400 * 4);

const long = rectangle([200, 40], 300, 40);
const words = [rectangle([60, 40], 50, 40), rectangle([160, 40], 50, 40)];

/** A classifier that says this of every line, and how sure the recogniser is of text the right way and on its head. */
function models(over: number, right: number, wrong: number) {
  const seen: string[] = [];
  const tensor = (values: readonly number[], datatype: "FP32" | "INT32", shape: number[]) =>
    datatype === "FP32"
      ? ({ datatype, shape, data: Float32Array.from(values) } as const)
      : ({ datatype, shape, data: Int32Array.from(values) } as const);
  const answer = (member: string, { shape, data }: Tensor): Record<string, Tensor> => {
    const [lines = 0, , width = 0] = shape;
    if (member === "classifier") {
      const chances = Array.from({ length: 2 * lines }, (_, at) => (at % 2 ? over : 1 - over));
      return { upright: tensor(chances, "FP32", [lines, 2]) };
    }
    const isRight = Number(data[16 * width * 4]) < Number(data[32 * width * 4]);
    return {
      character: tensor([1], "INT32", [1, 1]),
      score: tensor([isRight ? right : wrong], "FP32", [1, 1]),
    };
  };
  const runner: TensorRunner = {
    run: () => ({}),
    member: (member) => ({
      run({ pixels }) {
        seen.push(member);
        return pixels ? answer(member, pixels) : {};
      },
    }),
  };
  return { seen, runner };
}

describe("upright", () => {
  it.each([
    ["upright", 0.02, 1],
    ["on its head", 0.98, -1],
  ])("believes the classifier of a long line that is clearly %s", (_title, over, along) => {
    const { seen, runner } = models(over, 0, 0);
    const lines = runHere(upright(page, [long], READER), runner);
    expect(Math.sign(lines[0]?.along.x ?? 0)).toBe(along);
    expect(seen).toEqual(["classifier"]);
  });

  it.each([
    ["a long line that it is in doubt about", 0.5, [long]],
    ["short words, whatever it says", 0.98, words],
  ])("reads %s both ways", (_title, over, lines) => {
    const read = (right: number, wrong: number) =>
      runHere(upright(page, lines, READER), models(over, right, wrong).runner).map(({ along }) =>
        Math.sign(along.x),
      );
    expect(read(0.9, 0.5)).toEqual(lines.map(() => 1));
    expect(read(0.5, 0.9)).toEqual(lines.map(() => -1));
  });

  it("reads four views both ways at most, however many lines there are", () => {
    const { seen, runner } = models(0.5, 0.9, 0.5);
    runHere(
      upright(
        page,
        Array.from({ length: 50 }, () => long),
        READER,
      ),
      runner,
    );
    expect(seen.filter((member) => member === "recogniser")).toHaveLength(8);
  });
});
