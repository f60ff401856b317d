import path from "node:path";

import { buildModel } from "../../../publish/build.ts";
import { ReferenceSession } from "../../../publish/onnx/reference-session.ts";
import { feedsOf, type FixtureTensor, readFixtures } from "../../../publish/source.ts";
import type { Tensor } from "../../../runtime/tensor.ts";
import { graphFolders } from "../../examples.ts";
import { type Check, hold, rounded } from "../check.ts";
import { type Edge, cosine, infer } from "./edge-client.ts";

const LARGEST_DIFFERENCE = 1e-3;

/**
 * Embeddings are compared as they are used, by cosine. Their int8 activations are rounded: where the
 * two runtimes' floats differ in the last bit next to a half, they round apart. Over 62 texts half agree to
 * 1e-6; the others differ by up to 0.012 in single elements and 0.002 in cosine, where the fp32 build
 * differs by 2.4e-7 at most (measured).
 */
const LARGEST_COSINE_DISTANCE = 3e-3;

/** Every shipped model in workerd against onnxruntime-node on the same ONNX bytes and inputs. */
export const sameAsNative: Check<Edge> = {
  claim: "every model answers in workerd what onnxruntime-node answers on the same bytes",
  async run(edge) {
    const figures: Record<string, number> = {};
    for (const folder of await graphFolders()) {
      const name = path.basename(folder);
      const { onnx, source } = await buildModel(folder);
      const native = await ReferenceSession.create(onnx);
      let worst = 0;
      let worstCosineDistance = 0;
      for (const fixture of (await readFixtures(folder)).cases) {
        const expected = await native.run(feedsOf(fixture));
        const seen = await infer(edge, name, fixture.inputs);
        for (const [output, tensor] of Object.entries(expected)) {
          const place = `${name}, "${fixture.name}", ${output}`;
          const answer = numbersOf(seen[output], place);
          const values = numbersOf(tensor, place);
          hold(answer.length === values.length, `${place} has another size`);
          const difference = largestDifference(answer, values);
          worst = Math.max(worst, difference);
          if (source.task.type === "embedding") {
            const distance = cosineDistance(answer, values, source.task.dimensions);
            worstCosineDistance = Math.max(worstCosineDistance, distance);
            hold(distance <= LARGEST_COSINE_DISTANCE, `${place} is at cosine distance ${distance}`);
            continue;
          }
          // Labels and classes are equal or they are wrong.
          const allowed = tensor.datatype === "FP32" ? LARGEST_DIFFERENCE : 0;
          hold(difference <= allowed, `${place} is off by ${difference}`);
          if (output === "probabilities") {
            hold(indexOfLargest(values) === indexOfLargest(answer), `${place}: another class`);
          }
        }
      }
      await native.release();
      figures[`${name}LargestDifference`] = rounded(worst, 7);
      if (source.task.type === "embedding") {
        figures[`${name}LargestCosineDistance`] = rounded(worstCosineDistance, 7);
      }
    }
    return figures;
  },
};

function numbersOf(tensor: Tensor | FixtureTensor | undefined, place: string): number[] {
  hold(tensor !== undefined, `${place} is missing`);
  const numbers: number[] = [];
  for (const value of tensor.data) numbers.push(Number(value));
  return numbers;
}

function largestDifference(a: readonly number[], b: readonly number[]): number {
  let largest = 0;
  for (const [index, value] of a.entries()) {
    largest = Math.max(largest, Math.abs(value - (b[index] ?? Number.NaN)));
  }
  return largest;
}

/** The largest of any row. */
function cosineDistance(a: readonly number[], b: readonly number[], dimensions: number): number {
  let largest = 0;
  for (let start = 0; start < a.length; start += dimensions) {
    const end = start + dimensions;
    largest = Math.max(largest, 1 - cosine(a.slice(start, end), b.slice(start, end)));
  }
  return largest;
}

function indexOfLargest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}
