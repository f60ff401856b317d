import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { ORIGIN, type SignedRequest, signed, verifierOf, withHeader } from "./signed.ts";

const printable = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
const unreserved = fc.constantFrom(..."abcXYZ019-._~!$&'()*+,;=:@");
const method = fc.string({ unit: fc.constantFrom(..."ABCXYZ-"), minLength: 1, maxLength: 8 });
const path = fc
  .array(fc.string({ unit: unreserved, maxLength: 6 }), { maxLength: 4 })
  .map((segments) => new URL(`http://x/${segments.join("/")}`).pathname);
const query = fc
  .string({ unit: unreserved, maxLength: 10 })
  .map((text) => new URL(`http://x/?${text}`).search);
const body = fc.uint8Array({ maxLength: 64 });
const request = fc.record({ method, path, query, body });
type Parts = { method: string; path: string; query: string; body: Uint8Array };

const sign = ({ path: where, query: what, ...parts }: Parts) =>
  signed({ randomId }, { ...parts, url: `http://${ORIGIN}${where}${what}` });

/** The text with the character at a place replaced or left out, or with one more at its end. */
function alter(text: string, place: number, by: string): string {
  const index = place % (text.length + 1);
  return text.slice(0, index) + by + text.slice(index + 1);
}

/** One for all: each request has a nonce of its own. */
const verify = verifierOf();
let nonces = 0;
const randomId = () => `nonce-${nonces++}`;

describe("createVerifier", () => {
  it("accepts whatever was signed", async () => {
    await fc.assert(
      fc.asyncProperty(request, async (parts) => {
        expect(await verify(await sign(parts))).toEqual({ ok: true, keyId: "edge-1" });
      }),
    );
  });

  it.each(["method", "path", "query"] as const)(
    "refuses a request whose %s is altered anywhere",
    async (part) => {
      const by = fc.oneof(printable, fc.constant(""));
      await fc.assert(
        fc.asyncProperty(request, fc.nat(), by, async (parts, place, character) => {
          const altered = alter(parts[part], place, character);
          fc.pre(altered !== parts[part] && altered !== "" && altered !== "?");
          const { headers } = await sign(parts);
          const changed = { ...parts, [part]: altered };
          const url = `http://${ORIGIN}${changed.path}${changed.query}`;
          // RFC 9421 §2.2.7: no query and an empty one are the same.
          const asked = url.replace(/\?$/, "");
          fc.pre(asked !== `http://${ORIGIN}${parts.path}${parts.query}` || part === "method");
          const received = { method: changed.method, url, headers, body: parts.body };
          expect(await verify(received)).toMatchObject({ ok: false });
        }),
        { numRuns: 150 },
      );
    },
  );

  it("refuses a request with any bit of its body altered", async () => {
    await fc.assert(
      fc.asyncProperty(request, fc.nat(), fc.nat(7), async (parts, place, bit) => {
        fc.pre(parts.body.length > 0);
        const received = await sign(parts);
        const altered = parts.body.slice();
        const index = place % altered.length;
        altered[index] = (altered[index] ?? 0) ^ (1 << bit);
        expect(await verify({ ...received, body: altered })).toEqual({
          ok: false,
          reason: "digest_mismatch",
        });
      }),
    );
  });

  it.each(["content-type", "content-digest", "signature-input"])(
    "refuses a request whose %s is altered anywhere",
    async (name) => {
      const original = await signed({ randomId });
      await fc.assert(
        fc.asyncProperty(fc.nat(), printable, async (place, character) => {
          let isSame = false;
          const received = withHeader(original, name, (value) => {
            const altered = alter(value, place, character);
            isSame = altered === value;
            return altered;
          });
          fc.pre(!isSame);
          expect(await verify(received)).toMatchObject({ ok: false });
        }),
        { numRuns: 150 },
      );
    },
  );

  it("refuses any bit of the signature altered", async () => {
    const original = await signed({ randomId });
    await fc.assert(
      fc.asyncProperty(fc.nat(511), async (bit) => {
        const received = withHeader(original, "signature", (value) => {
          const bytes = Buffer.from(value.slice("nearside=:".length, -1), "base64");
          bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          return `nearside=:${bytes.toString("base64")}:`;
        });
        expect(await verify(received)).toEqual({ ok: false, reason: "bad_signature" });
      }),
    );
  });

  it("answers any headers, and accepts none", async () => {
    const original = await signed({ randomId });
    const latin1 = fc.uint8Array().map((bytes) => String.fromCharCode(...bytes));
    const text = fc.oneof(fc.string(), latin1);
    const value = fc.oneof(
      text,
      text.map((rest) => `nearside=${rest}`),
      text.map((rest) => `nearside=();${rest}`),
    );
    await fc.assert(
      fc.asyncProperty(value, value, value, async (signature, input, digest) => {
        const headers: SignedRequest["headers"] = [
          ["signature", signature],
          ["signature-input", input],
          ["content-digest", digest],
        ];
        expect(await verify({ ...original, headers })).toMatchObject({ ok: false });
      }),
      { numRuns: 200 },
    );
  });

  it("takes a bare ? for no query, as RFC 9421 does (§2.2.7)", async () => {
    const received = await signed({ randomId }, { url: `http://${ORIGIN}/v2` });
    expect(await verify({ ...received, url: `${received.url}?` })).toMatchObject({
      ok: true,
    });
  });
});
