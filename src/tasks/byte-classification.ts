import { NearsideError } from "../errors.ts";
import { checkBatch, checkCharset, textField, textInputs } from "./inputs.ts";
import { type LabelScore, output, rankLabels } from "./outputs.ts";
import { numberParameter } from "./parameters.ts";
import type { ManifestOf, Task, Units } from "./task.ts";

const DEFAULT_TOP_K = 5;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

export interface BytesInput {
  /** Byte values of each input, ready for the graph. */
  readonly items: readonly Int32Array[];
  readonly single: boolean;
  readonly topK: number;
}

/**
 * Classification of bytes, such as a file by its programming language: Hugging Face's
 * `text-classification`, and raw text or bytes.
 *
 * Graph: `bytes` INT32 [1, length] -> `probabilities` FP32 [1, labels]. Output: `[{label, score}]`, best
 * first, for a string or a raw body; an array of those for an array. Units: `items`, and `bytes` as fed.
 */
export const byteClassification: Task<"byte-classification", BytesInput, null> = {
  mediaTypes: ["text/*", "application/octet-stream"],

  decode(request, manifest, { maxBatch }) {
    const { labels } = manifest.task;
    const topK = numberParameter(request.parameters, "top_k", {
      fallback: Math.min(DEFAULT_TOP_K, labels.length),
      minimum: 1,
      maximum: labels.length,
      integer: true,
    });
    if (request.kind === "raw") {
      checkBatch(1, maxBatch);
      if (request.mediaType.startsWith("text/")) checkCharset(request.mediaParameters);
      checkLength(rawLength(request.bytes, manifest), manifest, "inputs");
      return { items: [modelBytes(request.bytes, manifest.task.maxBytes)], single: true, topK };
    }
    const texts = textInputs(request.inputs, maxBatch);
    const items = texts.texts.map((text, index) => {
      checkLength(text.length, manifest, textField(index, texts));
      return modelBytes(textBytes(text, manifest.task.maxBytes), manifest.task.maxBytes);
    });
    return { items, single: texts.single, topK };
  },

  estimate: units,

  prepare: () => null,

  *run(_resources, input, { task }) {
    const results: LabelScore[][] = [];
    for (const data of input.items) {
      const outputs = yield {
        feeds: { bytes: { datatype: "INT32", shape: [1, data.length], data } },
      };
      const probabilities = output(outputs, "probabilities", "FP32", task.labels.length);
      results.push(rankLabels(task.labels, probabilities, 0, input.topK));
    }
    return { output: input.single ? results[0] : results, units: units(input) };
  },
};

function units({ items }: BytesInput): Units {
  return { items: items.length, bytes: items.reduce((sum, { length }) => sum + length, 0) };
}

/**
 * The authors' preparation (`runModel` of @vscode/vscode-languagedetection): a text of at least 20
 * UTF-16 units, its CRLF as LF, its UTF-8 bytes. They cut at 100,000 units before that, but their graph
 * reads no further than 10,001 bytes, so the cut is made here, at `maxBytes`.
 *
 * @returns the first `maxBytes` byte values once CRLF is LF
 */
function modelBytes(bytes: Uint8Array, maxBytes: number): Int32Array {
  const carriageReturn = bytes.indexOf(CARRIAGE_RETURN);
  if (carriageReturn < 0) return new Int32Array(bytes.subarray(0, maxBytes));
  const values = new Int32Array(Math.min(bytes.length, maxBytes));
  values.set(bytes.subarray(0, Math.min(carriageReturn, maxBytes)));
  let length = Math.min(carriageReturn, maxBytes);
  for (let at = carriageReturn; at < bytes.length && length < maxBytes; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === CARRIAGE_RETURN && bytes[at + 1] === LINE_FEED) continue;
    values[length++] = byte;
  }
  return values.subarray(0, length);
}

const encoder = new TextEncoder();

/**
 * At least the first `maxBytes` bytes that are left of a text once CRLF is LF: each unit makes a byte or
 * more, but for the CR of a CRLF. So twice as many units are enough, whatever they are.
 */
function textBytes(text: string, maxBytes: number): Uint8Array {
  return encoder.encode(text.length > 2 * maxBytes ? text.slice(0, 2 * maxBytes) : text);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-16 units of a UTF-8 body, as far as `minBytes` asks; of other bytes, their number. */
function rawLength(bytes: Uint8Array, { task }: ManifestOf<"byte-classification">): number {
  // UTF-8 has three bytes per unit at most, so a longer body needs no look.
  if (bytes.length >= 3 * task.minBytes) return bytes.length;
  try {
    return utf8.decode(bytes).length;
  } catch {
    return bytes.length;
  }
}

function checkLength(
  length: number,
  { task }: ManifestOf<"byte-classification">,
  field: string,
): void {
  if (length >= task.minBytes) return;
  throw new NearsideError(
    "invalid_input",
    `The text has ${length} characters; the model needs ${task.minBytes} to say anything.`,
    { field },
  );
}
