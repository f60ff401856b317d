import { constants, deflateSync } from "node:zlib";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { inflatesBeyond } from "../../../src/tasks/image/inflated.ts";

const STRATEGIES = [
  constants.Z_DEFAULT_STRATEGY,
  constants.Z_HUFFMAN_ONLY,
  constants.Z_RLE,
  constants.Z_FIXED,
];

/** Bytes that repeat a little, and some that don't. */
const contents = fc
  .array(
    fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.integer({ min: 1, max: 40 })),
    { minLength: 1 },
  )
  .map((parts) => Buffer.concat(parts.flatMap(([bytes, times]) => Array(times).fill(bytes))));

describe("inflatesBeyond", () => {
  it("counts what zlib deflates, to the byte", () => {
    fc.assert(
      fc.property(
        contents,
        fc.integer({ min: 0, max: 9 }),
        fc.constantFrom(...STRATEGIES),
        (bytes, level, strategy) => {
          const deflated = deflateSync(bytes, { level, strategy });
          expect(inflatesBeyond(deflated, bytes.length)).toBe(false);
          expect(inflatesBeyond(deflated, bytes.length - 1)).toBe(true);
        },
      ),
    );
  });

  it("ends on whatever bytes there are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(inflatesBeyond(bytes, 1_000_000)).toBe(false);
        expect(inflatesBeyond(bytes, 0)).toBeTypeOf("boolean");
      }),
    );
  });

  it("stops counting a bomb at the limit", () => {
    const bomb = deflateSync(Buffer.alloc(64 * 1024 * 1024));
    expect(inflatesBeyond(bomb, 1_000)).toBe(true);
    expect(inflatesBeyond(bomb, 64 * 1024 * 1024)).toBe(false);
  });
});
