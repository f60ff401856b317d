import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { checkContentDigest, contentDigest } from "../../src/origin/content-digest.ts";

const HELLO = '{"hello": "world"}';
const bytesOf = (text: string) => new TextEncoder().encode(text);

// RFC 9530, appendices B.1 and D; RFC 9421, appendix B.2.
const VECTORS = [
  ["sha-256", "", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"],
  ["sha-256", HELLO, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"],
  ["sha-256", `${HELLO}\n`, "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"],
  [
    "sha-512",
    HELLO,
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
  ],
  [
    "sha-512",
    `${HELLO}\n`,
    "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:",
  ],
] as const;
const [SHA_256, SHA_512] = [VECTORS[1][2], VECTORS[3][2]];
const OTHER = VECTORS[2][2];

describe("contentDigest", () => {
  it.each(VECTORS)("digests by %s as the RFC does: %j", async (algorithm, body, field) => {
    expect(await contentDigest(bytesOf(body), algorithm)).toBe(field);
  });
});

describe("checkContentDigest", () => {
  it.each([
    ["match", SHA_256],
    ["match", SHA_512],
    ["match", `${SHA_512},  ${SHA_256}`],
    ["match", `md5=:AAAA:, ${SHA_256}`],
    ["mismatch", OTHER],
    ["mismatch", `${SHA_512}, ${OTHER}`],
    ["mismatch", "sha-256=::"],
    ["unsupported", "md5=:6Kx7xLUNqZpTtKZ3Q8bN5Q==:"],
    ["unsupported", "SHA-256-ish=:AAAA:".toLowerCase()],
    ["malformed", ""],
    ["malformed", `${SHA_256},`],
    ["malformed", `${SHA_256}, ${SHA_256}`],
    ["malformed", `${OTHER}, ${SHA_256}`],
    ["malformed", `${SHA_256};q=1`],
    ["malformed", SHA_256.toUpperCase()],
    ["malformed", SHA_256.replaceAll(":", "")],
    ["malformed", SHA_256.replace("=:", "= :")],
    ["malformed", "sha-256=?1"],
  ])("answers %s for %s", async (verdict, field) => {
    expect(await checkContentDigest(field, bytesOf(HELLO))).toBe(verdict);
  });

  it("matches the body that was digested, and no other", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), fc.uint8Array(), async (body, other) => {
        const field = await contentDigest(body);
        expect(await checkContentDigest(field, body)).toBe("match");
        fc.pre(body.toString() !== other.toString());
        expect(await checkContentDigest(field, other)).toBe("mismatch");
      }),
    );
  });

  it("says something of any field", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), async (field) => {
        expect(await checkContentDigest(field, bytesOf(HELLO))).not.toBe("match");
      }),
    );
  });
});
