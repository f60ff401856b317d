import { describe, expect, it } from "vitest";

import {
  assertPublicKey,
  generateSigningKeys,
  parseSigningKey,
} from "../../src/origin/signing-keys.ts";
import { PRIVATE_KEY, PUBLIC_KEY, signed, verifierOf } from "./signed.ts";

describe("generateSigningKeys", () => {
  it("makes keys that sign and verify, by way of the secret's text", async () => {
    const { keyId, privateKey, publicKey } = await generateSigningKeys();
    const secret = parseSigningKey(JSON.stringify(privateKey));
    expect(secret).toEqual({ keyId, privateKey });
    const verify = verifierOf({ keys: new Map([[keyId, publicKey]]) });
    expect(await verify(await signed(secret))).toEqual({ ok: true, keyId });
  });

  it("names a key by its thumbprint, or as it is told", async () => {
    const [first, second] = [await generateSigningKeys(), await generateSigningKeys()];
    expect(first.keyId).toMatch(/^[\w-]{43}$/);
    expect(second.keyId).not.toBe(first.keyId);
    expect(await generateSigningKeys("edge-2")).toMatchObject({
      keyId: "edge-2",
      publicKey: { kid: "edge-2" },
      privateKey: { kid: "edge-2" },
    });
  });

  it("keeps the private half out of the public key", async () => {
    const { publicKey } = await generateSigningKeys();
    expect(Object.keys(publicKey).sort()).toEqual(["crv", "kid", "kty", "x"]);
  });
});

describe("parseSigningKey", () => {
  it("reads the key of RFC 9421", () => {
    expect(parseSigningKey(JSON.stringify({ ...PRIVATE_KEY, use: "sig" }))).toEqual({
      privateKey: PRIVATE_KEY,
      keyId: "test-key-ed25519",
    });
  });

  it.each([
    ["nothing", ""],
    ["no JSON", "n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU"],
    ["null", "null"],
    ["a public key", JSON.stringify(PUBLIC_KEY)],
    ["a key without a name", JSON.stringify({ ...PRIVATE_KEY, kid: undefined })],
    ["a key with an empty name", JSON.stringify({ ...PRIVATE_KEY, kid: "" })],
    ["another curve", JSON.stringify({ ...PRIVATE_KEY, crv: "X25519" })],
    ["another kind of key", JSON.stringify({ ...PRIVATE_KEY, kty: "EC" })],
    ["a key cut short", JSON.stringify({ ...PRIVATE_KEY, d: "n4Ni" })],
  ])("refuses %s with the way to put it right, and does not repeat it", (_, text) => {
    const error = (() => {
      try {
        return parseSigningKey(text);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(String(error)).toContain("wrangler secret put SIGNING_KEY");
    expect(String(error)).not.toContain("n4Ni");
  });
});

describe("assertPublicKey", () => {
  it.each([
    ["a private key", PRIVATE_KEY, /without "d"/],
    ["a key of another length", { ...PUBLIC_KEY, x: "AAAA" }, /"edge-1" is not an Ed25519 public/],
  ])("refuses %s", (_, key, words) => {
    expect(() => assertPublicKey("edge-1", key)).toThrow(words);
    expect(() => verifierOf({ keys: new Map([["edge-1", key]]) })).toThrow(words);
  });
});
