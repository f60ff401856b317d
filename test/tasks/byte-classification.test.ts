import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { Tensor } from "../../src/runtime/tensor.ts";
import { byteClassification } from "../../src/tasks/byte-classification.ts";
import { runHere } from "../../src/tasks/drive.ts";
import { edgeLimits } from "../../src/tasks/limits.ts";
import type { TaskRequest } from "../../src/tasks/task.ts";
import { type Feeds, fp32, json, raw, recordingRunner, refusal, taskManifest } from "./support.ts";

const LABELS = ["a", "b", "c", "d", "e", "f", "g"];
const MAX_BYTES = 16;
const manifest = taskManifest(
  { type: "byte-classification", maxBytes: MAX_BYTES, minBytes: 4, labels: LABELS },
  4,
);

/** The first byte decides: the label of its place in the alphabet gets a half, the others share. */
function model({ bytes }: Feeds): Record<string, Tensor> {
  if (bytes?.datatype !== "INT32") throw new Error("bytes must be INT32");
  expect(bytes.shape).toEqual([1, bytes.data.length]);
  const best = (bytes.data[0] ?? 0) - 0x61;
  return {
    probabilities: fp32(
      LABELS.map((_, at) => (at === best ? 0.5 : 0.0625)),
      [1, 7],
    ),
  };
}

const decode = (request: TaskRequest) =>
  byteClassification.decode(request, manifest, edgeLimits(manifest));
/** The bytes that the graph gets of each input. */
const fed = (request: TaskRequest): number[][] => decode(request).items.map((item) => [...item]);
const text = (body: string, parameters = {}) => raw(body, "text/x-any", { parameters });
const utf8 = (body: string): number[] => [...new TextEncoder().encode(body)];

function run(request: TaskRequest, answer = model) {
  const runner = recordingRunner(answer);
  return runHere(
    byteClassification.run(null, decode(request), manifest, edgeLimits(manifest)),
    runner,
  );
}

describe("byte classification: decode", () => {
  it.each([
    ["a string", json("abcd"), ["abcd"]],
    ["an array", json(["abcd", "efgh"]), ["abcd", "efgh"]],
    ["a raw text", text("äbc日"), ["äbc日"]],
    ["a byte order mark, which it keeps", text("\ufeffabcd"), ["\ufeffabcd"]],
    ["CRLF, as LF", json("a\r\nb\r\n\r\nc"), ["a\nb\n\nc"]],
    ["CRLF in a raw text", text("\r\na\r\nb"), ["\na\nb"]],
    ["CR and LF that are no CRLF", json("a\rb\n\rc\r\r\nd\r"), ["a\rb\n\rc\r\nd\r"]],
    ["a text of the limit", json("x".repeat(16)), ["x".repeat(16)]],
    ["a longer text, cut", json("x".repeat(17)), ["x".repeat(16)]],
    ["a CRLF at the cut, as LF", text(`${"x".repeat(15)}\r\ny`), [`${"x".repeat(15)}\n`]],
    ["a CRLF after the cut", text(`${"x".repeat(16)}\r\ny`), ["x".repeat(16)]],
    ["a limit that counts LFs, not CRLFs", json("\r\n".repeat(20)), ["\n".repeat(16)]],
    ["a late CRLF", text(`${"x".repeat(20)}\r\n`), ["x".repeat(16)]],
  ])("takes %s", (_, request, expected) => {
    expect(fed(request)).toEqual(expected.map(utf8));
  });

  it("cuts in the middle of a character, as bytes are cut", () => {
    expect(fed(json(`abc${"日".repeat(5)}`))).toEqual([utf8(`abc${"日".repeat(5)}`).slice(0, 16)]);
  });

  it("takes bytes that are no text", () => {
    const bytes = Uint8Array.of(0, 0xff, 0x0d, 0x0a, 0x80);
    expect(fed(raw(bytes, "application/octet-stream"))).toEqual([[0, 0xff, 0x0a, 0x80]]);
  });

  it("feeds the same bytes of a text in JSON and of a raw one: its UTF-8 with LF for CRLF", () => {
    const someText = fc.oneof(
      fc.string({ unit: "binary", minLength: 4, maxLength: 60 }),
      fc
        .array(fc.constantFrom("\r", "\n", "\r\n", "a", "ä", "日", "😀"), {
          minLength: 4,
          maxLength: 60,
        })
        .map((units) => units.join("")),
    );
    fc.assert(
      fc.property(someText, (body) => {
        const expected = [utf8(body.replaceAll("\r\n", "\n")).slice(0, MAX_BYTES)];
        expect(fed(json(body))).toEqual(expected);
        expect(fed(text(body))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it("does not change what it was given", () => {
    const request = text("a\r\nb\r\nc");
    decode(request);
    expect([...request.bytes]).toEqual(utf8("a\r\nb\r\nc"));
  });

  it.each([
    ["a string", json("abc"), "inputs", 3],
    ["an empty string", json(""), "inputs", 0],
    ["one of an array", json(["abcd", "efgh", "ij"]), "inputs[2]", 2],
    ["a raw text", text("abc"), "inputs", 3],
    ["an empty body", text(""), "inputs", 0],
    ["few characters of many bytes", text("日本語"), "inputs", 3],
    ["bytes that are no text", raw(Uint8Array.of(0xff, 0xfe, 0xfd), "text/plain"), "inputs", 3],
  ])("refuses %s that is too short", (_, request, field, length) => {
    expect(() => decode(request)).toThrow(refusal("invalid_input", field));
    expect(() => decode(request)).toThrow(new RegExp(`has ${length} characters.* needs 4`));
  });

  it("counts a text's length in UTF-16 units, before CRLF becomes LF", () => {
    expect(fed(text("😀😀"))).toEqual([utf8("😀😀")]);
    expect(fed(text("\r\n\r\n"))).toEqual([[0x0a, 0x0a]]);
    expect(fed(text("äöüß"))).toEqual([utf8("äöüß")]);
    const bytes = Uint8Array.of(0xff, 0xff, 0xff, 0xff);
    expect(fed(raw(bytes, "application/octet-stream"))).toEqual([[...bytes]]);
  });

  it.each([
    ["no text", json(undefined), "inputs"],
    ["an empty array", json([]), "inputs"],
    ["a number", json(5), "inputs"],
    ["null among texts", json(["abcd", null]), "inputs[1]"],
  ])("refuses %s", (_, request, field) => {
    expect(() => decode(request)).toThrow(refusal("invalid_input", field));
  });

  it("takes as many texts as the model's limit", () => {
    expect(fed(json(Array(4).fill("abcd")))).toHaveLength(4);
    expect(() => decode(json(Array(5).fill("abcd")))).toThrow(refusal("batch_too_large", "inputs"));
  });

  it("gives five labels unless it is asked for another number", () => {
    expect(decode(json("abcd")).topK).toBe(5);
    expect(decode(json("abcd", { top_k: null })).topK).toBe(5);
    for (const topK of [1, LABELS.length]) {
      expect(decode(json("abcd", { top_k: topK })).topK).toBe(topK);
      expect(decode(text("abcd", { top_k: topK })).topK).toBe(topK);
    }
    const few = taskManifest({ ...manifest.task, labels: ["a", "b"] });
    expect(byteClassification.decode(json("abcd"), few, edgeLimits(few)).topK).toBe(2);
  });

  it.each([0, -1, LABELS.length + 1, 1.5, Number.NaN, "3", true])("refuses top_k %j", (topK) => {
    for (const request of [json("abcd", { top_k: topK }), text("abcd", { top_k: topK })]) {
      expect(() => decode(request)).toThrow(refusal("invalid_input", "parameters.top_k"));
    }
  });
});

describe("byte classification: run", () => {
  it("answers a string, and a raw body, with labels, best first", () => {
    for (const request of [json("cabd", { top_k: 2 }), text("cabd", { top_k: 2 })]) {
      expect(run(request)).toEqual({
        output: [
          { label: "c", score: 0.5 },
          { label: "a", score: 0.0625 },
        ],
        units: { items: 1, bytes: 4 },
      });
    }
  });

  it("answers an array in its order, and counts the bytes that were fed", () => {
    expect(run(json(["g\r\nxx", "b".repeat(40)], { top_k: 1 }))).toEqual({
      output: [[{ label: "g", score: 0.5 }], [{ label: "b", score: 0.5 }]],
      units: { items: 2, bytes: 4 + MAX_BYTES },
    });
    expect(run(json(["dddd"], { top_k: 1 })).output).toEqual([[{ label: "d", score: 0.5 }]]);
  });

  it("does not answer with probabilities that are no numbers", () => {
    const nan = () => ({ probabilities: fp32(Array(7).fill(Number.NaN), [1, 7]) });
    expect(() => run(json("abcd"), nan)).toThrow(refusal("inference_failed", "inputs"));
  });

  it("does not trust an output of another length", () => {
    const short = () => ({ probabilities: fp32([1], [1, 1]) });
    expect(() => run(json("abcd"), short)).toThrow(refusal("internal", undefined));
  });
});
