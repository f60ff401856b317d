import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { displayKey, generateKey, hashKey, parseKey } from "../../src/accounts/key.ts";

const kind = fc.constantFrom("live" as const, "test" as const);
const key = kind.map(generateKey);
const at = fc.nat(36);
const character = fc.constantFrom(
  ..."0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-. é",
);

const replaceAt = (text: string, index: number, replacement: string): string =>
  [...text].with(index, replacement).join("");

describe("a key", () => {
  it("says what it is, has the length of all keys, and is accepted", () => {
    fc.assert(
      fc.property(kind, (wanted) => {
        const made = generateKey(wanted);
        expect(made).toMatch(new RegExp(`^nsk_${wanted}_[0-9A-Za-z]{28}$`));
        expect(parseKey(made)).toEqual({ ok: true, kind: wanted });
      }),
    );
  });

  it("is never made twice, and uses every character equally", () => {
    const secrets = Array.from({ length: 5000 }, () => generateKey("live").slice(9, 31));
    expect(new Set(secrets).size).toBe(5000);
    const counts = new Map<string, number>();
    for (const each of secrets.join("")) counts.set(each, (counts.get(each) ?? 0) + 1);
    expect(counts.size).toBe(62);
    // 1774 each on average; a bias as of 256 % 62 would bring 2150 for some. Seven deviations are 295.
    for (const count of counts.values()) expect(Math.abs(count - 1774)).toBeLessThan(295);
  });

  it("ends with the CRC32 of all before it, in base 62", () => {
    fc.assert(
      fc.property(key, (made) => {
        const digits = [..."0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"];
        const value = made
          .slice(-6)
          .split("")
          .reduce((sum, each) => sum * 62 + digits.indexOf(each), 0);
        expect(value).toBe(crc32(made.slice(0, -6)));
      }),
    );
  });

  it("is malformed when any one character is another", () => {
    fc.assert(
      fc.property(key, at, character, (made, index, wrong) => {
        fc.pre(made[index] !== wrong);
        expect(parseKey(replaceAt(made, index, wrong)).ok).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it("is malformed when two neighbours changed places", () => {
    fc.assert(
      fc.property(key, fc.nat(35), (made, index) => {
        const [first = "", second = ""] = made.slice(index, index + 2);
        fc.pre(first !== second);
        expect(parseKey(replaceAt(replaceAt(made, index, second), index + 1, first)).ok).toBe(
          false,
        );
      }),
      { numRuns: 2000 },
    );
  });

  it.each<[string, (made: string) => string, string]>([
    ["is empty", () => "", "prefix"],
    ["is another service's", () => "sk-proj-0123456789", "prefix"],
    ["is in capitals", (made) => made.toUpperCase(), "prefix"],
    ["follows a space", (made) => ` ${made}`, "prefix"],
    ["is of no kind", (made) => made.replace("live", "prod"), "prefix"],
    ["has lost its end", (made) => made.slice(0, -1), "length"],
    ["has grown", (made) => `${made}0`, "length"],
    ["is followed by a line break", (made) => `${made}\n`, "length"],
    ["ends with a line break", (made) => `${made.slice(0, -1)}\n`, "alphabet"],
    ["contains a letter of another script", (made) => replaceAt(made, 12, "а"), "alphabet"],
    ["is of the other kind", (made) => made.replace("live", "test"), "checksum"],
  ])("is malformed, for a reason, when it %s", (_, change, malformed) => {
    expect(parseKey(change(generateKey("live")))).toEqual({ ok: false, malformed });
  });

  it("never throws, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(parseKey(text).ok).toBe(false);
        expect(parseKey(`nsk_live_${text}`).ok).toBe(false);
      }),
    );
  });

  it("is known by the SHA-256 of all of it", async () => {
    const made = generateKey("test");
    expect(await hashKey(made)).toBe(createHash("sha256").update(made).digest("hex"));
  });

  it("is shown in lists by its ends", () => {
    expect(displayKey("nsk_live_abCDEFGHIJKLMNOPQRSTUV0123yz")).toBe("nsk_live_ab…yz");
  });
});
