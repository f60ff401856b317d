import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { isPrivateAddress } from "../../src/origin/endpoint-guard.ts";
import { PRIVATE, PUBLIC } from "./addresses.ts";

describe("isPrivateAddress", () => {
  it.each(PRIVATE)("refuses %s: %s", (_, url) => {
    expect(isPrivateAddress(url)).toBe(true);
  });

  it.each(PUBLIC)("lets %s through", (url) => {
    expect(isPrivateAddress(url)).toBe(false);
    expect(isPrivateAddress(new URL(url))).toBe(false);
  });

  it("judges an IPv4 address the same however it is written", () => {
    const byte = fc.nat(255);
    fc.assert(
      fc.property(fc.tuple(byte, byte, byte, byte), ([a, b, c, d]) => {
        const number = ((a * 256 + b) * 256 + c) * 256 + d;
        const dotted = isPrivateAddress(`http://${a}.${b}.${c}.${d}`);
        const octal = [a, b, c, d].map((part) => `0${part.toString(8)}`).join(".");
        for (const way of [
          String(number),
          `0x${number.toString(16)}`,
          octal,
          `${a}.${b}.${c * 256 + d}`,
          `[::ffff:${a}.${b}.${c}.${d}]`,
        ]) {
          expect({ way, refused: isPrivateAddress(`http://${way}`) }).toEqual({
            way,
            refused: dotted,
          });
        }
      }),
    );
  });
});
