import { createSignature, verifySignature, webcrypto } from "http-message-sig";
import { describe, expect, it } from "vitest";

import { contentDigest } from "../../src/origin/content-digest.ts";
import { importPrivateKey, importPublicKey } from "../../src/origin/signing-keys.ts";
import {
  BODY,
  NOW_SECONDS,
  ORIGIN,
  PRIVATE_KEY,
  PUBLIC_KEY,
  RFC_COMPONENTS,
  RFC_REQUEST,
  RFC_SIGNATURE,
  signerOf,
  verifierOf,
} from "./signed.ts";

const POST = {
  method: "POST",
  url: `http://${ORIGIN}/v2/models/minilm/infer`,
  headers: [["content-type", "application/json"]],
} as const;

describe("the vector of RFC 9421, B.2.6", () => {
  it("is signed to the byte", async () => {
    const fields = await createSignature(RFC_REQUEST, {
      label: "sig-b26",
      components: RFC_COMPONENTS,
      parameters: { created: 1618884473, keyid: "test-key-ed25519" },
      signer: webcrypto.signer(await importPrivateKey(PRIVATE_KEY)),
    });
    expect(fields).toEqual(RFC_SIGNATURE);
  });

  it("is verified", async () => {
    const { signature, signatureInput } = RFC_SIGNATURE;
    const message = {
      ...RFC_REQUEST,
      fields: [
        ...RFC_REQUEST.fields,
        { name: "signature-input", value: signatureInput },
        { name: "signature", value: signature },
      ],
    };
    const verifier = webcrypto.verifier(await importPublicKey(PUBLIC_KEY));
    const verified = await verifySignature(message, {
      policy: { algorithms: ["ed25519"], requiredComponents: [], requiredParameters: [] },
      resolveVerifier: () => verifier,
    });
    expect(verified.parameters.keyid).toBe("test-key-ed25519");
  });
});

describe("createSigner", () => {
  it("covers method, host, path, query, body and how it is read, and says when and by whom", async () => {
    const headers = await signerOf()({ ...POST, bodyDigest: await contentDigest(BODY) });
    expect(headers).toEqual({
      "content-digest": await contentDigest(BODY),
      "signature-input":
        'nearside=("@method" "@authority" "@path" "@query" "content-digest" "content-type");' +
        `created=${NOW_SECONDS};expires=${NOW_SECONDS + 60};nonce="nonce-0";keyid="edge-1";tag="nearside"`,
      signature: expect.stringMatching(/^nearside=:[A-Za-z0-9+/]{86}==:$/),
    });
  });

  it.each([
    [[], '"content-digest")'],
    [[["Accept", "text/plain"]], '"content-digest")'],
    [
      [
        ["X-Other", "é"],
        ["Inference-Header-Content-Length", "12"],
        ["Content-Encoding", "gzip"],
      ],
      '"content-digest" "inference-header-content-length" "content-encoding")',
    ],
    [
      [
        ["content-type", "a/b"],
        ["Content-Type", "c/d"],
      ],
      '"content-digest" "content-type")',
    ],
  ] as [[string, string][], string][])("covers of the headers %j only %s", async (headers, end) => {
    expect((await signerOf()({ ...POST, headers }))["signature-input"]).toContain(end);
  });

  it("signs the digest of nothing where there is no body", async () => {
    const headers = await signerOf()({ ...POST, method: "GET", headers: [] });
    expect(headers["content-digest"]).toBe(await contentDigest(new Uint8Array()));
  });

  it("gives each attempt a nonce of its own", async () => {
    const sign = signerOf({ randomId: () => crypto.randomUUID() });
    const attempts = await Promise.all(Array.from({ length: 20 }, () => sign(POST)));
    expect(new Set(attempts.map(({ signature }) => signature)).size).toBe(20);
  });

  it("signs the URL as fetch sends it", async () => {
    const sign = signerOf({ randomId: () => "same" });
    const sent = await sign({ ...POST, url: `http://${ORIGIN}/v2/a%20b?q=%C3%A9` });
    const written = await sign({ ...POST, url: `HTTP://GPU-1.example:8000/v1/../v2/a b?q=é#part` });
    expect(written).toEqual(sent);
  });

  it("takes a key that the runtime holds", async () => {
    const sign = signerOf({ privateKey: await importPrivateKey(PRIVATE_KEY) });
    expect(await sign(POST)).toEqual(await signerOf()(POST));
  });

  it.each([
    ["a URL without a host", { ...POST, url: "/v2" }],
    ["a method that is none", { ...POST, method: "PO ST" }],
    ["a header that it would cover and can't", { ...POST, headers: [["content-type", "é"]] }],
  ] as const)("refuses %s", async (_, request) => {
    await expect(signerOf()(request)).rejects.toThrow(/./);
  });

  it("signs what a Request holds so that the verifier takes it", async () => {
    const request = new Request(`http://${ORIGIN}/v2?x=1`, {
      method: "POST",
      body: BODY,
      headers: { "content-type": "application/octet-stream" },
    });
    const added = await signerOf()({
      method: request.method,
      url: request.url,
      headers: request.headers,
      bodyDigest: await contentDigest(BODY),
    });
    for (const [name, value] of Object.entries(added)) request.headers.set(name, value);
    const verdict = await verifierOf()({
      method: request.method,
      url: request.url,
      headers: request.headers,
      body: () => request.bytes(),
    });
    expect(verdict).toEqual({ ok: true, keyId: "edge-1" });
  });
});
