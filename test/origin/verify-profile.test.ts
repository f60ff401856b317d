import { describe, expect, it } from "vitest";

import type { RefusalReason } from "../../src/origin/refusals.ts";
import { REQUIRED_COMPONENTS } from "../../src/origin/sign.ts";
import {
  BODY,
  FORGED,
  NOW_SECONDS,
  PUBLIC_KEY,
  type SignedRequest,
  signed,
  signedOtherwise,
  verifierOf,
  withHeader,
} from "./signed.ts";

const OK = { ok: true, keyId: "edge-1" };
const refused = (reason: RefusalReason) => ({ ok: false, reason });

describe("signed by a trusted key in another way", () => {
  it("accepts one that covers the same", async () => {
    expect(await verifierOf()(await signedOtherwise({}))).toEqual(OK);
  });

  it.each(REQUIRED_COMPONENTS)("refuses one that does not cover %s", async (stripped) => {
    const components = REQUIRED_COMPONENTS.filter((name) => name !== stripped);
    expect(await verifierOf()(await signedOtherwise({ components }))).toEqual(
      refused("incomplete"),
    );
  });

  it("refuses one that covers a single member of the digest", async () => {
    const components = [
      ...REQUIRED_COMPONENTS.filter((name) => name !== "content-digest"),
      { name: "content-digest", parameters: { key: "sha-256" } },
    ];
    expect(await verifierOf()(await signedOtherwise({ components }))).toEqual(
      refused("incomplete"),
    );
  });

  it("refuses one that covers nothing", async () => {
    expect(await verifierOf()(await signedOtherwise({ components: [] }))).toEqual(
      refused("incomplete"),
    );
  });

  it.each<[string, Record<string, string | number | undefined>, RefusalReason]>([
    ["no created", { created: undefined }, "incomplete"],
    ["no expires", { expires: undefined }, "incomplete"],
    ["no nonce", { nonce: undefined }, "incomplete"],
    ["no keyid", { keyid: undefined }, "incomplete"],
    ["no tag", { tag: undefined }, "incomplete"],
    ["another tag", { tag: "web-bot-auth" }, "incomplete"],
    ["an empty nonce", { nonce: "" }, "malformed"],
    ["a nonce of 129 characters", { nonce: "n".repeat(129) }, "malformed"],
    ["an end before its beginning", { expires: NOW_SECONDS - 1 }, "malformed"],
    ["a life of 301 seconds", { expires: NOW_SECONDS + 301 }, "lifetime_too_long"],
    ["a key that nobody knows", { keyid: "edge-2" }, "unknown_key"],
    ["the name of an object's own member", { keyid: "__proto__" }, "unknown_key"],
  ])("refuses one with %s", async (_, parameters, reason) => {
    expect(await verifierOf()(await signedOtherwise({ parameters }))).toEqual(refused(reason));
  });

  it.each([
    ["a life of 300 seconds", { expires: NOW_SECONDS + 300 }],
    ["a nonce of 128 characters", { nonce: "n".repeat(128) }],
    ["Ed25519 by name", { alg: "ed25519" }],
  ])("accepts one with %s", async (_, parameters) => {
    expect(await verifierOf()(await signedOtherwise({ parameters }))).toEqual(OK);
  });

  it.each(["hmac-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256", "ecdsa-p256-sha256"])(
    "refuses one that says %s, though the key fits",
    async (algorithm) => {
      const request = await signedOtherwise({ algorithm, parameters: { alg: algorithm } });
      expect(await verifierOf()(request)).toEqual(refused("wrong_algorithm"));
    },
  );

  it("refuses an HMAC whose secret is the public key", async () => {
    const request = await signed();
    const secret = new TextEncoder().encode(PUBLIC_KEY.x);
    const hmac = { name: "HMAC", hash: "SHA-512" };
    const key = await crypto.subtle.importKey("raw", secret, hmac, false, ["sign"]);
    const mac = Buffer.from(await crypto.subtle.sign("HMAC", key, BODY)).toString("base64");
    const forged = withHeader(request, "signature", () => `nearside=:${mac}:`);
    expect(await verifierOf()(forged)).toEqual(refused("bad_signature"));
  });
});

describe("two signatures in one message", () => {
  const join = (a: SignedRequest, b: SignedRequest): SignedRequest => ({
    ...a,
    headers: [...a.headers, ...b.headers.filter(([name]) => name.startsWith("signature"))],
  });

  it("goes by its own, wherever it stands", async () => {
    const [ours, others] = [await signedOtherwise({}), await signedOtherwise({ label: "proxy" })];
    expect(await verifierOf()(join(ours, others))).toEqual(OK);
    expect(await verifierOf()(join(others, ours))).toEqual(OK);
  });

  it("is not moved by a good one of another label", async () => {
    const good = await signedOtherwise({ label: "proxy" });
    const bad = withHeader(await signedOtherwise({}), "signature", () => FORGED);
    expect(await verifierOf()(join(bad, good))).toEqual(refused("bad_signature"));
    expect(await verifierOf()(good)).toEqual(refused("unsigned"));
  });

  it("refuses two of the same label", async () => {
    const [first, second] = [
      await signedOtherwise({}),
      await signedOtherwise({ parameters: { nonce: "m" } }),
    ];
    expect(await verifierOf()(join(first, second))).toEqual(refused("malformed"));
  });

  it("refuses labels that do not pair up", async () => {
    const [ours, others] = [await signedOtherwise({}), await signedOtherwise({ label: "proxy" })];
    const joined = join(
      ours,
      withHeader(others, "signature", () => undefined),
    );
    expect(await verifierOf()(joined)).toEqual(refused("malformed"));
  });
});
