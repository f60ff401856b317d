import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { isCorrupt } from "../../src/origin/check-answer.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const JSON_TYPE = { "content-type": "application/json" };

function binary(sizes: readonly number[], tail: number, shift = 0) {
  const outputs = sizes.map((size, at) => ({
    name: `y${at}`,
    parameters: { binary_data_size: size },
  }));
  const header = bytesOf(JSON.stringify({ outputs }));
  const bytes = new Uint8Array(header.length + tail);
  bytes.set(header);
  const length = `${header.length + shift}`;
  return { headers: new Headers({ "inference-header-content-length": length }), bytes };
}

describe("an answer in JSON", () => {
  it.each([
    ["{}", false],
    ["[1]", false],
    ["null", false],
    ["", true],
    ['{"outputs":[1,2', true],
    ["{}}", true],
    ["\ufeff{}", false],
  ])("%j is corrupt: %s", (text, expected) => {
    expect(isCorrupt(new Headers(JSON_TYPE), bytesOf(text))).toBe(expected);
  });

  it("is corrupt when it is no UTF-8", () => {
    const bytes = Uint8Array.of(0x22, 0xff, 0x22);
    expect(isCorrupt(new Headers(JSON_TYPE), bytes)).toBe(true);
  });

  it.each(["application/problem+json", "application/json; charset=utf-8", "APPLICATION/JSON"])(
    "may call itself %s",
    (type) => {
      expect(isCorrupt(new Headers({ "content-type": type }), bytesOf("{"))).toBe(true);
    },
  );

  it("of another kind is not judged", () => {
    expect(isCorrupt(new Headers({ "content-type": "text/plain" }), bytesOf("{"))).toBe(false);
    expect(isCorrupt(new Headers(), bytesOf("{"))).toBe(false);
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
          expect(isCorrupt(headers, bytes)).toBe(off !== 0);
        },
      ),
    );
  });

  it.each([-1, 1, 1_000, Number.NaN])("is corrupt when its header ends elsewhere (%d)", (shift) => {
    const { headers, bytes } = binary([4], 4, shift);
    expect(isCorrupt(headers, bytes)).toBe(true);
  });
});
