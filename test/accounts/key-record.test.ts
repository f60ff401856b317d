import * as v from "valibot";
import { describe, expect, it } from "vitest";

import { Account, newId } from "../../src/accounts/account.ts";
import { hashKey, parseKey } from "../../src/accounts/key.ts";
import {
  KeyRecord,
  OriginPattern,
  allowsOrigin,
  issueKey,
  keyState,
  rotateKey,
} from "../../src/accounts/key-record.ts";
import { NOW, acme, ed25519PrivateJwk } from "./support.ts";

const OPTIONS = {
  account: acme.id,
  name: "server",
  kind: "test",
  scopes: ["predict", "models"],
} as const;
const { key, hash, record } = await issueKey(OPTIONS, NOW);

describe("a key's record", () => {
  it("goes with a new key, which stands nowhere in it", async () => {
    expect(parseKey(key)).toEqual({ ok: true, kind: "test" });
    expect(hash).toBe(await hashKey(key));
    expect(record).toMatchObject({ ...OPTIONS, schema: 1, createdAt: NOW });
    expect(record.id).toMatch(/^key_[a-z2-7]{16}$/);
    expect(JSON.stringify(record)).not.toContain(key.slice(9, 31));
    expect(record.display).toBe(`${key.slice(0, 11)}…${key.slice(-2)}`);
  });

  it("of an older time may have the scope admin, which allows nothing any more", () => {
    const older = { ...record, scopes: ["predict", "admin"] };
    expect(v.parse(KeyRecord, older).scopes).toEqual(["predict"]);
  });

  it("survives JSON", () => {
    expect(v.parse(KeyRecord, JSON.parse(JSON.stringify(record)))).toEqual(record);
  });

  it.each<[string, Record<string, unknown>]>([
    ["a restriction that this code does not know", { addresses: ["10.0.0.0/8"] }],
    ["another schema", { schema: 2 }],
    ["a scope that is none", { scopes: ["predict", "everything"] }],
    ["no scope", { scopes: [] }],
    ["an account that is none", { account: "acc_1" }],
    ["a model that is none", { models: ["../secret"] }],
    ["an origin that no browser sends", { origins: ["https://example.com/"] }],
    ["a time that is no number", { expiresAt: "tomorrow" }],
    ["a successor without an overlap", { replacedBy: newId("key_") }],
    ["an overlap without a successor", { overlapUntil: NOW }],
  ])("is refused with %s", (_, change) => {
    expect(v.is(KeyRecord, { ...record, ...change })).toBe(false);
  });
});

describe("the state of a key", () => {
  it.each([
    ["active, with no end", {}, "active"],
    ["active until it expires", { expiresAt: NOW + 1 }, "active"],
    ["expired from that moment on", { expiresAt: NOW }, "expired"],
    ["revoked, even if the revoker's clock is ahead", { revokedAt: NOW + 60_000 }, "revoked"],
    ["revoked, if it is expired too", { revokedAt: NOW - 1, expiresAt: NOW - 1 }, "revoked"],
    ["active while its successor takes over", { overlapUntil: NOW + 1 }, "active"],
    ["replaced when the overlap ends", { overlapUntil: NOW }, "replaced"],
    [
      "expired, if that is before the overlap ends",
      { overlapUntil: NOW + 9, expiresAt: NOW },
      "expired",
    ],
  ])("is %s", (_, change, state) => {
    expect(keyState({ ...record, ...change }, NOW)).toBe(state);
  });

  it("overlaps with its successor for as long as the rotation says, and no longer", () => {
    const successor = newId("key_");
    const rotated = rotateKey(record, successor, 60_000, NOW);
    expect(v.parse(KeyRecord, rotated)).toMatchObject({ replacedBy: successor });
    expect(keyState(rotated, NOW + 59_999)).toBe("active");
    expect(keyState(rotated, NOW + 60_000)).toBe("replaced");
    const again = rotateKey(rotated, newId("key_"), 60_000, NOW + 30_000);
    expect(keyState(again, NOW + 60_000)).toBe("replaced");
    const sooner = rotateKey(rotated, newId("key_"), 0, NOW + 30_000);
    expect(keyState(sooner, NOW + 30_000)).toBe("replaced");
  });
});

describe("the origins of a key", () => {
  it.each<[string, string | null, boolean]>([
    ["https://example.com", "https://example.com", true],
    ["https://example.com", "http://example.com", false],
    ["https://example.com", "https://example.com:8443", false],
    ["https://example.com", "https://example.com.evil.test", false],
    ["https://example.com", "https://www.example.com", false],
    ["https://example.com", "null", false],
    ["https://example.com", null, false],
    ["http://localhost:3000", "http://localhost:3000", true],
    ["https://*.example.com", null, false],
    ["https://*.example.com", "https://app.example.com", true],
    ["https://*.example.com", "https://a.b.example.com", true],
    ["https://*.example.com", "https://example.com", false],
    ["https://*.example.com", "https://.example.com", false],
    ["https://*.example.com", "https://evilexample.com", false],
    ["https://*.example.com", "http://app.example.com", false],
    ["https://*.example.com", "https://app.example.com:8443", false],
    ["https://*.example.com", "https://app.example.com.evil.test", false],
    ["https://*.example.com", "https://evil.test/.example.com", false],
    ["https://*.example.com", "https://evil.test#.example.com", false],
    ["https://*.example.com", "https://evil.test@a.example.com", false],
    ["https://*.example.com:8443", "https://app.example.com:8443", true],
  ])("of %s, for %s: %s", (pattern, origin, allowed) => {
    expect(v.is(OriginPattern, pattern)).toBe(true);
    expect(allowsOrigin([pattern], origin)).toBe(allowed);
    expect(allowsOrigin(["https://elsewhere.test", pattern], origin)).toBe(allowed);
  });

  it("are all when there is no list, and none when the list is empty", () => {
    expect(allowsOrigin(undefined, null)).toBe(true);
    expect(allowsOrigin(undefined, "https://example.com")).toBe(true);
    expect(allowsOrigin([], "https://example.com")).toBe(false);
  });

  it.each([
    "*",
    "null",
    "example.com",
    "https://*",
    "https://*.com",
    "https://*.*.example.com",
    "https://a*.example.com",
    "https://Example.com",
    "https://example.com:443",
    "https://example.com/app",
    "https://user@example.com",
    "ftp://example.com",
    "",
  ])("can't be %s", (pattern) => {
    expect(v.is(OriginPattern, pattern)).toBe(false);
  });
});

describe("an account", () => {
  it("survives JSON", () => {
    expect(v.parse(Account, JSON.parse(JSON.stringify(acme)))).toEqual(acme);
  });

  it.each<[string, Record<string, unknown>]>([
    ["a signer's private key", { signers: [{ kid: "ed", jwk: ed25519PrivateJwk }] }],
    ["a signer's shared secret", { signers: [{ kid: "hs", jwk: { kty: "oct", k: "c2VjcmV0" } }] }],
    ["two signers of one kid", { signers: [acme.signers?.[0], acme.signers?.[0]] }],
    ["a limit that is a fraction", { limits: { dayNano: 0.5 } }],
    ["a limit that can't be counted", { limits: { monthNano: 2 ** 53 } }],
    ["another currency", { currency: "EUR" }],
  ])("is refused with %s", (_, change) => {
    expect(v.is(Account, { ...acme, ...change })).toBe(false);
  });
});
