import { cold } from "../../../../test/bench/cold.ts";
import { type Check, CheckFailure } from "../check.ts";

const SAMPLES = 3;
const LEAST_LOAD_RATIO = 20;
/** Models whose load must be so many times faster; the others are too small to say much. */
const LOAD_RATIO_OF = new Set(["minilm", "vad"]);
const LEAST_FIRST_ANSWER_RATIO = 2.5;
const MOST_TOUCHED_PER_WEIGHT = 1.3;

/** The benchmark `cold`, with fewer samples. */
export const coldStarts: Check<undefined> = {
  claim:
    "a restored model is ready and answers several times sooner, in little more than its weights",
  async run() {
    const { cases } = await cold(SAMPLES, (line) => console.log(`    ${line}`));
    const problems: string[] = [];
    const figures: Record<string, number> = {};
    for (const { model, ratio, restored, weightsBytes } of cases) {
      figures[`${model}LoadRatio`] = ratio.load;
      figures[`${model}FirstAnswerRatio`] = ratio.firstAnswer;
      if (model === "minilm") {
        figures["minilmTouchedPerWeight"] = Number(
          (restored.touchedBytes.median / weightsBytes).toFixed(3),
        );
      }
    }
    for (const { model, ratio } of cases) {
      if (!(ratio.firstAnswer >= LEAST_FIRST_ANSWER_RATIO)) {
        problems.push(`${model}'s first answer is only ${ratio.firstAnswer} times as fast`);
      }
      if (LOAD_RATIO_OF.has(model) && !(ratio.load >= LEAST_LOAD_RATIO)) {
        problems.push(`${model} loads only ${ratio.load} times as fast`);
      }
    }
    const touched = figures["minilmTouchedPerWeight"] ?? Number.NaN;
    if (!(touched <= MOST_TOUCHED_PER_WEIGHT)) {
      problems.push(`restored minilm touches ${touched} times its weights`);
    }
    if (problems.length > 0) throw new CheckFailure(problems, figures);
    return figures;
  },
};
