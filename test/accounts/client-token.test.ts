import { decodeJwt, decodeProtectedHeader } from "jose";
import { describe, expect, it } from "vitest";

import { authenticate } from "../../src/accounts/authenticate.ts";
import {
  Directory,
  NOW,
  REFUSED_TOKENS,
  SECONDS,
  acme,
  ed25519PrivateJwk,
  forge,
  mint,
  mintWithP256,
  other,
  withKey,
} from "./support.ts";

const directory = new Directory(acme, other);
const at = (time: number) => {
  const later = new Directory(acme, other);
  later.time = time;
  return later;
};
const show = (token: string, deps = directory) => authenticate(withKey(token), deps);

describe("a client token", () => {
  it("stands for a user of the account, within its bounds", async () => {
    const token = await mint({
      scopes: ["predict", "models"],
      models: ["iris"],
      user: "u42",
      tokenId: "t-1",
    });
    expect(await show(token)).toEqual({
      account: acme,
      keyId: "signer:ed",
      kind: "live",
      scopes: ["predict", "models"],
      models: ["iris"],
      user: "u42",
      tokenId: "t-1",
      maxSpendNano: 1_000_000,
    });
  });

  it("may be signed with P-256, by a signer whose tokens count as tests", async () => {
    const token = await mintWithP256();
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: "ES256", kid: "ec" });
    expect(await show(token)).toMatchObject({ keyId: "signer:ec", kind: "test" });
  });

  it("may be minted with a private JWK, and name its algorithm as RFC 9864 does", async () => {
    expect(await show(await mint({ key: ed25519PrivateJwk }))).toMatchObject({ account: acme });
    expect(await show(await forge({ header: { alg: "Ed25519" } }))).toMatchObject({
      account: acme,
    });
  });

  it("is minted with an id of its own and a quarter of an hour to live", async () => {
    const [first, second] = [decodeJwt(await mint()), decodeJwt(await mint())];
    expect(first).toMatchObject({
      iss: acme.id,
      aud: "nearside",
      iat: SECONDS,
      exp: SECONDS + 900,
    });
    expect(first.jti).not.toBe(second.jti);
  });

  it("can't widen what the account may use", async () => {
    const narrow = new Directory({ ...acme, models: ["iris", "vad"] });
    expect(await show(await mint(), narrow)).toMatchObject({ models: ["iris", "vad"] });
    const token = await mint({ models: ["vad", "ocr"] });
    expect(await show(token, narrow)).toMatchObject({ models: ["vad"] });
  });

  it("may be shown again until it expires, under one id and one bound on what it spends", async () => {
    const token = await mint({ tokenId: "t-2", spendNano: 7 });
    for (const time of [NOW, NOW + 1, NOW + 899_000]) {
      expect(await show(token, at(time))).toMatchObject({ tokenId: "t-2", maxSpendNano: 7 });
    }
  });

  it("holds while the clocks differ by less than half a minute", async () => {
    const token = await mint({ lifeSeconds: 3600 });
    expect(await show(token, at(NOW - 30_000))).toMatchObject({ account: acme });
    expect(await show(token, at(NOW + 3_629_000))).toMatchObject({ account: acme });
  });

  it("expires, and says so only to who has a real one", async () => {
    const later = at(NOW + 930_000);
    await expect(show(await mint(), later)).rejects.toMatchObject({ code: "token_expired" });
    await expect(show(await mint({ account: other.id }), later)).rejects.toMatchObject({
      code: "token_invalid",
    });
  });

  it("is refused from the moment that its signer is removed", async () => {
    const { signers: _, ...without } = acme;
    await expect(show(await mint(), new Directory(without))).rejects.toMatchObject({
      code: "token_invalid",
    });
  });

  it.each(REFUSED_TOKENS)("is refused when it %s", async (_, make, words) => {
    await expect(show(await make())).rejects.toMatchObject({
      code: "token_invalid",
      field: "authorization",
      message: expect.stringContaining(words),
    });
  });

  it("asks for no account when its issuer can be none", async () => {
    const asked = new Directory(acme);
    await show(await forge({ claims: { iss: "../key:1" } }), asked).catch(() => {});
    await show(await mint({ user: "u".repeat(5000) }), asked).catch(() => {});
    expect(asked.calls).toEqual([]);
  });
});
