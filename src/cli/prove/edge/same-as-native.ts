import path from "node:path";

import { buildModel } from "../../../publish/build.ts";
import { ReferenceSession } from "../../../publish/onnx/reference-session.ts";
import { feedsOf, readFixtures } from "../../../publish/source.ts";
import { modelFolders } from "../../examples.ts";
import { type Check, hold, rounded } from "../check.ts";
import { type Edge, infer } from "./edge-client.ts";

const LARGEST_DIFFERENCE = 1e-3;

/** Every shipped model in workerd against onnxruntime-node on the same ONNX bytes and inputs. */
export const sameAsNative: Check<Edge> = {
  claim: "every model answers in workerd what onnxruntime-node answers on the same bytes",
  async run(edge) {
    const figures: Record<string, number> = {};
    for (const folder of await modelFolders()) {
      const name = path.basename(folder);
      const { onnx } = await buildModel(folder);
      const native = await ReferenceSession.create(onnx);
      let worst = 0;
      for (const fixture of (await readFixtures(folder)).cases) {
        const { name: title, inputs } = fixture;
        const expected = await native.run(feedsOf(fixture));
        const seen = await infer(edge, name, inputs);
        for (const [output, { data, datatype }] of Object.entries(expected)) {
          const answer = seen[output]?.data ?? [];
          hold(answer.length === data.length, `${name}, "${title}": ${output} has another size`);
          const values = Array.from(data as ArrayLike<number | bigint>, Number);
          const differences = values.map((value, index) => Math.abs(value - Number(answer[index])));
          const difference = Math.max(0, ...differences);
          // Labels and classes are equal or they are wrong.
          const allowed = datatype === "FP32" ? LARGEST_DIFFERENCE : 0;
          hold(difference <= allowed, `${name}, "${title}": ${output} is off by ${difference}`);
          worst = Math.max(worst, difference);
          if (output === "probabilities") {
            hold(
              indexOfLargest(values) === indexOfLargest(answer.map(Number)),
              `${name}, "${title}": another class`,
            );
          }
        }
      }
      await native.release();
      figures[`${name}LargestDifference`] = rounded(worst, 7);
    }
    return figures;
  },
};

function indexOfLargest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}
