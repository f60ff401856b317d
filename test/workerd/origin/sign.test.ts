import { createSignature, webcrypto } from "http-message-sig";
import { describe, expect, it } from "vitest";

import { contentDigest } from "../../../src/origin/content-digest.ts";
import { ReplayGuard } from "../../../src/origin/replay-guard.ts";
import { createSigner } from "../../../src/origin/sign.ts";
import {
  generateSigningKeys,
  importPrivateKey,
  parseSigningKey,
} from "../../../src/origin/signing-keys.ts";
import {
  type ReceivedRequest,
  type VerifierOptions,
  createVerifier,
} from "../../../src/origin/verify.ts";
import {
  BODY,
  FORGED,
  NOW_SECONDS,
  ORIGIN,
  PRIVATE_KEY,
  RFC_COMPONENTS,
  RFC_REQUEST,
  RFC_SIGNATURE,
  type SignedRequest,
  signed,
  verifierOf,
  withHeader,
} from "../../origin/signed.ts";

describe("signing in workerd", () => {
  it("signs the vector of RFC 9421, B.2.6, to the byte", async () => {
    const fields = await createSignature(RFC_REQUEST, {
      label: "sig-b26",
      components: RFC_COMPONENTS,
      parameters: { created: 1618884473, keyid: "test-key-ed25519" },
      signer: webcrypto.signer(await importPrivateKey(PRIVATE_KEY)),
    });
    expect(fields).toEqual(RFC_SIGNATURE);
  });

  it("makes keys, signs a Request, and verifies it once", async () => {
    const { keyId, privateKey, publicKey } = await generateSigningKeys();
    const sign = createSigner({
      ...parseSigningKey(JSON.stringify(privateKey)),
      now: Date.now,
      randomId: () => crypto.randomUUID(),
    });
    const verify = createVerifier({
      keys: new Map([[keyId, publicKey]]),
      now: Date.now,
      replay: new ReplayGuard(),
      authorities: [ORIGIN],
    });
    const request = new Request(`http://${ORIGIN}/v2/models/a%20b/infer?q=é`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: BODY,
    });
    const bodyDigest = await contentDigest(BODY);
    const { method, url } = request;
    const added = await sign({ method, url, headers: request.headers, bodyDigest });
    for (const [name, value] of Object.entries(added)) request.headers.set(name, value);
    const received = { method, url, headers: request.headers, body: () => request.clone().bytes() };
    expect(await verify(received)).toEqual({ ok: true, keyId });
    expect(await verify(received)).toEqual({ ok: false, reason: "replayed" });
  });

  type Change = (request: SignedRequest) => ReceivedRequest;
  const same: Change = (request) => request;
  it.each<[string, Change, Partial<VerifierOptions>?]>([
    ["unsigned", (request) => ({ ...request, headers: [] })],
    ["bad_signature", (request) => ({ ...request, method: "PUT" })],
    ["bad_signature", (request) => ({ ...request, url: `${request.url}2` })],
    ["bad_signature", (request) => withHeader(request, "signature", () => FORGED)],
    ["bad_signature", (request) => withHeader(request, "signature", () => "nearside=:AAAA:")],
    ["malformed", (request) => withHeader(request, "signature", () => "nearside=:A")],
    ["digest_mismatch", (request) => ({ ...request, body: BODY.slice(1) })],
    ["expired", same, { now: () => (NOW_SECONDS + 121) * 1000 }],
    ["not_yet_valid", same, { now: () => (NOW_SECONDS - 61) * 1000 }],
    ["unknown_key", same, { keys: new Map() }],
  ])("answers %s as in Node", async (reason, change, options) => {
    expect(await verifierOf(options)(change(await signed()))).toEqual({ ok: false, reason });
  });
});
