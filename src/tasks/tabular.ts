import { rawText } from "./inputs.ts";
import { output, rankLabels } from "./outputs.ts";
import { csvRows, jsonRows, type Rows } from "./tabular-rows.ts";
import type { Task } from "./task.ts";

/**
 * Classification of rows of numbers: Hugging Face's `tabular-classification`, plain JSON, and CSV.
 *
 * Graph: `features` FP32 [batch, columns] -> `probabilities` FP32 [batch, labels] and `label` INT64
 * [batch]. Output: `[{label, score}]`, best first, for one row; an array of those for several rows and
 * for CSV; the class of each row as a number for Hugging Face's table, as its clients expect.
 * Units: `items` (rows) and `elements` (numbers).
 */
export const tabularClassification: Task<"tabular-classification", Rows, null> = {
  mediaTypes: ["text/csv"],

  decode(request, { task, limits }) {
    if (request.kind === "json") return jsonRows(request.inputs, task.columns, limits.maxBatch);
    const header = request.mediaParameters["header"]?.toLowerCase();
    return csvRows(rawText(request.bytes), header, task.columns, limits.maxBatch);
  },

  prepare: () => null,

  run(session, _resources, { form, count, features }, { task }) {
    const { columns, labels } = task;
    const outputs = session.run({
      features: { datatype: "FP32", shape: [count, columns.length], data: features },
    });
    const units = { items: count, elements: features.length };
    if (form === "table") {
      return { output: Array.from(output(outputs, "label", "INT64", count), Number), units };
    }
    const probabilities = output(outputs, "probabilities", "FP32", count * labels.length);
    const ranked = Array.from({ length: count }, (_, row) =>
      rankLabels(labels, probabilities, row * labels.length, labels.length),
    );
    return { output: form === "row" ? ranked[0] : ranked, units };
  },
};
