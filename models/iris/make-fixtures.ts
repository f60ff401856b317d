import type { Fixtures } from "../../src/publish/source.ts";
import { predict } from "./perceptron.ts";
import { trainIris } from "./train.ts";

/** The trained network in double precision, without ONNX, on flowers that it never saw. */
export function makeFixtures(): Promise<Fixtures> {
  const { network, held } = trainIris();
  const rows = held.rows.slice(0, 6);
  const probabilities = rows.map((row) => predict(network, row));
  const count = rows.length;
  return Promise.resolve({
    source: "The trained network computed in double precision by perceptron.ts, without ONNX.",
    cases: [
      {
        name: "flowers that were not trained on",
        inputs: {
          features: { datatype: "FP32", shape: [count, rows[0]?.length ?? 0], data: rows.flat() },
        },
        expected: {
          probabilities: {
            datatype: "FP32",
            shape: [count, probabilities[0]?.length ?? 0],
            data: probabilities.flat().map((value) => Number(value.toPrecision(7))),
          },
          label: {
            datatype: "INT64",
            shape: [count],
            data: probabilities.map((row) => row.indexOf(Math.max(...row))),
          },
        },
        tolerance: 1e-5,
      },
    ],
  });
}
