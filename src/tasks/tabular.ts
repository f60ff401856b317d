import { rawText } from "./inputs.ts";
import { output, rankLabels } from "./outputs.ts";
import { csvRows, jsonRows, type Rows } from "./tabular-rows.ts";
import type { Task, Units } from "./task.ts";

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

  decode(request, { task }, { maxBatch }) {
    if (request.kind === "json") return jsonRows(request.inputs, task.columns, maxBatch);
    const header = request.mediaParameters["header"]?.toLowerCase();
    return csvRows(rawText(request.bytes), header, task.columns, maxBatch);
  },

  estimate: unitsOf,

  prepare: () => null,

  *run(_resources, rows, { task }) {
    const { form, count, features } = rows;
    const { columns, labels } = task;
    const outputs = yield {
      feeds: { features: { datatype: "FP32", shape: [count, columns.length], data: features } },
    };
    const units = unitsOf(rows);
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

function unitsOf({ count, features }: Rows): Units {
  return { items: count, elements: features.length };
}
