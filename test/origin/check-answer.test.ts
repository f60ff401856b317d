import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { isCorrupt, judgeEvents, mayAnswer } from "../../src/origin/check-answer.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const JSON_TYPE = { "content-type": "application/json" };
const BINARY = { "content-type": "application/octet-stream" };
const HEADER_LENGTH = "inference-header-content-length";

function binary(sizes: readonly number[], tail: number, shift = 0) {
  const outputs = sizes.map((size, at) => ({
    name: `y${at}`,
    parameters: { binary_data_size: size },
  }));
  const header = bytesOf(JSON.stringify({ outputs }));
  const bytes = new Uint8Array(header.length + tail);
  bytes.set(header);
  return { headers: new Headers({ [HEADER_LENGTH]: `${header.length + shift}` }), bytes };
}

describe("how an answer begins", () => {
  it.each([
    ["infer", 200, JSON_TYPE, true],
    ["infer", 200, { "content-type": "application/json; charset=utf-8" }, true],
    ["infer", 200, { "content-type": "APPLICATION/JSON" }, true],
    ["infer", 200, { ...BINARY, [HEADER_LENGTH]: "10" }, true],
    ["infer", 200, BINARY, false],
    ["infer", 200, { ...JSON_TYPE, [HEADER_LENGTH]: "10" }, false],
    ["infer", 200, { "content-type": "text/html" }, false],
    ["infer", 200, { "content-type": "text/event-stream" }, false],
    ["infer", 200, {}, false],
    ["infer", 204, JSON_TYPE, false],
    ["infer", 202, JSON_TYPE, false],
    ["text", 200, JSON_TYPE, true],
    ["text", 200, { "content-type": "text/event-stream; charset=utf-8" }, true],
    ["text", 200, { "content-type": "text/html" }, false],
    ["embeddings", 200, { "content-type": "text/event-stream" }, false],
  ] as const)("%s, %i %o: %s", (operation, status, headers, expected) => {
    expect(mayAnswer(operation, status, new Headers(headers))).toBe(expected);
  });
});

describe("an answer in JSON", () => {
  it.each([
    ["infer", '{"outputs":[]}', false],
    ["infer", '\ufeff{"outputs":[]}', false],
    ["infer", '{"outputs":[],"error":null}', false],
    ["infer", '{"outputs":[],"error":"out of memory"}', true],
    ["infer", '{"error":"out of memory"}', true],
    ["infer", '{"outputs":{}}', true],
    ["infer", '{"outputs":[1,2', true],
    ["infer", "{}", true],
    ["infer", "[1]", true],
    ["infer", "null", true],
    ["infer", "", true],
    ["text", '{"choices":[{}]}', false],
    ["text", '{"choices":[],"error":{"message":"no"}}', true],
    ["text", '{"object":"error","message":"no"}', true],
    ["text", '{"data":[]}', true],
    ["embeddings", '{"data":[]}', false],
    ["embeddings", '{"choices":[]}', true],
  ] as const)("of %s: %j is corrupt: %s", (operation, text, expected) => {
    expect(isCorrupt(operation, new Headers(JSON_TYPE), bytesOf(text))).toBe(expected);
  });

  it("is corrupt when it is no UTF-8", () => {
    const bytes = bytesOf('{"outputs":["?"]}');
    bytes[bytes.indexOf(0x3f)] = 0xff;
    expect(isCorrupt("infer", new Headers(JSON_TYPE), bytes)).toBe(true);
  });
});

describe("an answer with binary tensors", () => {
  it("is whole exactly when its sizes add up to the body", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(64), { maxLength: 4 }),
        fc.integer({ min: -3, max: 3 }),
        (sizes, off) => {
          const total = sizes.reduce((sum, size) => sum + size, 0);
          if (total + off < 0) return;
          const { headers, bytes } = binary(sizes, total + off);
          expect(isCorrupt("infer", headers, bytes)).toBe(off !== 0);
        },
      ),
    );
  });

  it.each([-1, 1, 1_000, Number.NaN])("is corrupt when its header ends elsewhere (%d)", (shift) => {
    const { headers, bytes } = binary([4], 4, shift);
    expect(isCorrupt("infer", headers, bytes)).toBe(true);
  });

  it("is corrupt when its header tells of an error", () => {
    const bytes = bytesOf('{"error":"out of memory","outputs":[]}');
    const headers = new Headers({ [HEADER_LENGTH]: `${bytes.length}` });
    expect(isCorrupt("infer", headers, bytes)).toBe(true);
  });
});

describe("a stream of events", () => {
  const CHUNK = 'data: {"choices":[]}\n\n';

  it.each([
    ["its first event", CHUNK, "good"],
    ["nothing but the end", "data: [DONE]\n\n", "good"],
    ["half an event", 'data: {"cho', "open"],
    ["an event whose end is to come", 'data: {"choices":[]}\n', "open"],
    ["nothing yet", "", "open"],
    ["a sign of life", ": ping\n\n", "open"],
    ["an event after a sign of life", `: ping\n\n${CHUNK}`, "good"],
    ["an error after a sign of life", ': ping\n\ndata: {"error":{}}\n\n', "corrupt"],
    ["an error", 'data: {"error":{"message":"out of memory"}}\n\n', "corrupt"],
    ["an error by its name", 'event: error\ndata: {"message":"no"}\n\n', "corrupt"],
    ["an error in parts", 'data: {"error":\ndata: "no"}\n\n', "corrupt"],
    ["no JSON", "data: Service Unavailable\n\n", "corrupt"],
    ["an error after an event", `${CHUNK}data: {"error":{}}\n\n`, "good"],
  ] as const)("that says %s, however its lines end", (_, text, expected) => {
    for (const end of ["\n", "\r\n", "\r"]) {
      expect(judgeEvents(text.replaceAll("\n", end), false)).toBe(expected);
    }
  });

  it.each([
    ["", "corrupt"],
    [": ping\n\n", "corrupt"],
    [CHUNK.trimEnd(), "good"],
    ['data: {"cho', "corrupt"],
  ])("that ends after %j is %s", (text, expected) => {
    expect(judgeEvents(text, true)).toBe(expected);
  });
});
