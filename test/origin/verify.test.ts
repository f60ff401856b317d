import { describe, expect, it, vi } from "vitest";

import { contentDigest } from "../../src/origin/content-digest.ts";
import { REFUSALS, type RefusalReason } from "../../src/origin/refusals.ts";
import { ReplayGuard } from "../../src/origin/replay-guard.ts";
import { generateSigningKeys } from "../../src/origin/signing-keys.ts";
import { createVerifier } from "../../src/origin/verify.ts";
import {
  BODY,
  FORGED,
  NOW_SECONDS,
  ORIGIN,
  PUBLIC_KEY,
  RFC_REQUEST,
  RFC_SIGNATURE,
  type SignedRequest,
  signed,
  signerOf,
  verifierOf,
  withHeader,
} from "./signed.ts";

const OK = { ok: true, keyId: "edge-1" };
const refused = (reason: RefusalReason) => ({ ok: false, reason });

describe("createVerifier", () => {
  it.each([
    ["with a body", {}],
    ["without a body", { method: "GET", headers: [], body: new Uint8Array() }],
    ["with a body of 1 MB", { body: new Uint8Array(1_000_000).fill(7) }],
    ["without a query", { url: `http://${ORIGIN}/` }],
    ["with a header that nobody covers", { headers: [["x-trace", "1"]] as [string, string][] }],
  ])("accepts a signed request %s", async (_, parts) => {
    expect(await verifierOf()(await signed({}, parts))).toEqual(OK);
  });

  it("accepts what others do with headers that are not covered", async () => {
    const request = await signed();
    const headers: [string, string][] = [
      ...request.headers,
      ["x-forwarded-for", "::1"],
      ["via", "é"],
    ];
    expect(await verifierOf()({ ...request, headers })).toEqual(OK);
  });

  it("refuses a request without a signature", async () => {
    const { method, url, body } = await signed();
    expect(await verifierOf()({ method, url, body, headers: [] })).toEqual(refused("unsigned"));
  });

  it("does not take a signature of another kind for one of its own", async () => {
    const headers: [string, string][] = RFC_REQUEST.fields.map(({ name, value }) => [name, value]);
    headers.push(["signature-input", RFC_SIGNATURE.signatureInput]);
    headers.push(["signature", RFC_SIGNATURE.signature]);
    const verify = verifierOf({
      keys: new Map([["test-key-ed25519", PUBLIC_KEY]]),
      authorities: ["example.com"],
      now: () => 1618884473_000,
    });
    const { method, targetUri: url } = RFC_REQUEST;
    expect(await verify({ method, url, headers })).toEqual(refused("unsigned"));
    const relabelled = headers.map(([name, value]): [string, string] => [
      name,
      value.replace("sig-b26=", "nearside="),
    ]);
    expect(await verify({ method, url, headers: relabelled })).toEqual(refused("incomplete"));
  });

  it.each<[string, Partial<SignedRequest>, RefusalReason]>([
    ["another method", { method: "PUT" }, "bad_signature"],
    ["the method in small letters", { method: "post" }, "bad_signature"],
    ["another path", { url: `http://${ORIGIN}/v2/models/iris/infer?seed=1` }, "bad_signature"],
    [
      "a path that leads to the same",
      { url: `http://${ORIGIN}/v2/./models/minilm/infer?seed=1` },
      "bad_signature",
    ],
    ["another query", { url: `http://${ORIGIN}/v2/models/minilm/infer?seed=2` }, "bad_signature"],
    ["no query", { url: `http://${ORIGIN}/v2/models/minilm/infer` }, "bad_signature"],
    ["a fragment", { url: `http://${ORIGIN}/v2/models/minilm/infer?seed=1#x` }, "malformed"],
    [
      "another host",
      { url: "http://gpu-2.example:8000/v2/models/minilm/infer?seed=1" },
      "wrong_authority",
    ],
    ["a URL that is none", { url: "/v2/models/minilm/infer?seed=1" }, "malformed"],
    [
      "a backslash where the path begins",
      { url: `http://${ORIGIN}\\x/v2/models/minilm/infer?seed=1` },
      "malformed",
    ],
    [
      "a user in the host",
      { url: `http://x@${ORIGIN}/v2/models/minilm/infer?seed=1` },
      "malformed",
    ],
    ["a tab in the path", { url: `http://${ORIGIN}/v2/models/\tminilm/infer?seed=1` }, "malformed"],
    ["an empty fragment", { url: `http://${ORIGIN}/v2/models/minilm/infer?seed=1#` }, "malformed"],
    ["a method that is none", { method: "PO ST" }, "malformed"],
    ["another body", { body: new TextEncoder().encode('{"inputs":[1,2,4]}') }, "digest_mismatch"],
    ["no body", { body: new Uint8Array() }, "digest_mismatch"],
  ])("refuses %s than was signed", async (_, change, reason) => {
    expect(await verifierOf()({ ...(await signed()), ...change })).toEqual(refused(reason));
  });

  it("refuses a body where there was none", async () => {
    const request = await signed({}, { method: "GET", headers: [], body: new Uint8Array() });
    expect(await verifierOf()({ ...request, body: BODY })).toEqual(refused("digest_mismatch"));
  });

  it.each<[string, string, (value: string) => string | undefined, RefusalReason]>([
    ["another content type", "content-type", () => "text/plain", "bad_signature"],
    ["no content type", "content-type", () => undefined, "bad_signature"],
    ["a content type that is not ASCII", "content-type", () => "é", "bad_signature"],
    ["another digest", "content-digest", (value) => value.replace(/=:./, "=:_"), "bad_signature"],
    ["no digest", "content-digest", () => undefined, "bad_signature"],
    ["another signature", "signature", () => FORGED, "bad_signature"],
    ["a signature cut short", "signature", () => "nearside=:AAAA:", "bad_signature"],
    ["an empty signature", "signature", () => "nearside=::", "bad_signature"],
    ["no signature", "signature", () => undefined, "malformed"],
    ["no description", "signature-input", () => undefined, "malformed"],
    ["a signature that is a string", "signature", () => 'nearside="abc"', "malformed"],
    ["a signature that can't be read", "signature", () => "nearside=:a", "malformed"],
    ["a description that can't be read", "signature-input", () => "nearside=(", "malformed"],
    ["a description that is a string", "signature-input", () => 'nearside="x"', "malformed"],
    [
      "a later expiry",
      "signature-input",
      (value) => value.replace(/(expires=\d+)\d/, "$19"),
      "bad_signature",
    ],
    [
      "another nonce",
      "signature-input",
      (value) => value.replace("nonce-0", "nonce-1"),
      "bad_signature",
    ],
    [
      "another tag",
      "signature-input",
      (value) => value.replace('tag="nearside"', 'tag="other"'),
      "incomplete",
    ],
    ["a part less", "signature-input", (value) => value.replace(' "@path"', ""), "incomplete"],
    [
      "the parts in another order",
      "signature-input",
      (value) => value.replace('"@path" "@query"', '"@query" "@path"'),
      "bad_signature",
    ],
    [
      "a part twice",
      "signature-input",
      (value) => value.replace('"@path"', '"@path" "@path"'),
      "malformed",
    ],
    [
      "a part of a response",
      "signature-input",
      (value) => value.replace('"@path"', '"@path" "@status"'),
      "malformed",
    ],
    [
      "a part that nobody knows",
      "signature-input",
      (value) => value.replace('"@path"', '"@path" "@moon"'),
      "malformed",
    ],
    ["a parameter twice", "signature-input", (value) => `${value};created=1`, "malformed"],
    [
      "a time that is a string",
      "signature-input",
      (value) => value.replace(/created=(\d+)/, 'created="$1"'),
      "malformed",
    ],
    [
      "a time with a fraction",
      "signature-input",
      (value) => value.replace(/created=(\d+)/, "created=$1.5"),
      "malformed",
    ],
    ["an algorithm added", "signature-input", (value) => `${value};alg="ed25519"`, "bad_signature"],
    [
      "HMAC for its algorithm",
      "signature-input",
      (value) => `${value};alg="hmac-sha256"`,
      "wrong_algorithm",
    ],
    [
      "RSA for its algorithm",
      "signature-input",
      (value) => `${value};alg="rsa-pss-sha512"`,
      "wrong_algorithm",
    ],
    [
      "no algorithm, by name",
      "signature-input",
      (value) => `${value};alg="none"`,
      "wrong_algorithm",
    ],
  ])("refuses a request with %s", async (_, name, change, reason) => {
    const altered = withHeader(await signed(), name, change);
    expect(await verifierOf()(altered)).toEqual(refused(reason));
  });

  it.each(["content-type", "content-digest", "signature", "signature-input"])(
    "refuses a second %s header, be it the same",
    async (name) => {
      const request = await signed();
      const again = request.headers.find(([given]) => given.toLowerCase() === name);
      const headers = [...request.headers, again ?? ["", ""]] satisfies [string, string][];
      expect(await verifierOf()({ ...request, headers })).toEqual(
        refused(name.startsWith("content") ? "bad_signature" : "malformed"),
      );
      expect(await verifierOf()({ ...request, headers: new Headers(headers) })).toEqual(
        refused(name.startsWith("content") ? "bad_signature" : "malformed"),
      );
    },
  );

  it.each(["content-type", "content-encoding", "inference-header-content-length"])(
    "refuses a %s that was added on the way",
    async (name) => {
      const request = await signed({}, { headers: [] });
      const headers: [string, string][] = [...request.headers, [name.toUpperCase(), "1"]];
      expect(await verifierOf()({ ...request, headers })).toEqual(refused("incomplete"));
    },
  );

  describe("keys", () => {
    it("trusts the old and the new while a key is replaced, and the old no more when it is gone", async () => {
      const next = await generateSigningKeys("edge-2");
      const keys = new Map<string, typeof next.publicKey>([["edge-1", PUBLIC_KEY]]);
      const verify = verifierOf({ keys });
      const byOld = (nonce: string) => signed({ randomId: () => nonce });
      const byNew = (nonce: string) => signed({ ...next, randomId: () => nonce });
      expect([await verify(await byOld("a")), await verify(await byNew("a"))]).toEqual([
        OK,
        refused("unknown_key"),
      ]);
      keys.set("edge-2", next.publicKey);
      expect([await verify(await byOld("b")), await verify(await byNew("b"))]).toEqual([
        OK,
        { ok: true, keyId: "edge-2" },
      ]);
      keys.delete("edge-1");
      expect([await verify(await byOld("c")), await verify(await byNew("c"))]).toEqual([
        refused("unknown_key"),
        { ok: true, keyId: "edge-2" },
      ]);
    });

    it("refuses a key of its own that goes by another's name", async () => {
      const { privateKey } = await generateSigningKeys();
      expect(await verifierOf()(await signed({ privateKey }))).toEqual(refused("bad_signature"));
    });
  });

  describe("the origin's name", () => {
    it("refuses a request that was meant for another, whatever Host it shows", async () => {
      const elsewhere = await signed({}, { url: "http://gpu-2.example/v2" });
      expect(await verifierOf()(elsewhere)).toEqual(refused("wrong_authority"));
      const url = `http://${ORIGIN}/v2`;
      expect(await verifierOf()({ ...elsewhere, url })).toEqual(refused("bad_signature"));
    });

    it("believes the Host when it has no name of its own", async () => {
      const verify = createVerifier({
        keys: new Map([["edge-1", PUBLIC_KEY]]),
        now: () => NOW_SECONDS * 1000,
        replay: new ReplayGuard(),
      });
      const request = await signed({}, { url: "http://gpu-2.example/v2" });
      expect(await verify(request)).toEqual(OK);
    });
  });

  describe("the body", () => {
    it("is not read before the signature is good", async () => {
      const body = vi.fn<() => Promise<Uint8Array>>(async () => BODY);
      const request = await signed();
      await verifierOf()({ ...request, method: "PUT", body });
      await verifierOf()({ ...request, headers: [], body });
      expect(body).not.toHaveBeenCalled();
      expect(await verifierOf()({ ...request, body })).toEqual(OK);
    });

    it("fails the verification as it failed itself", async () => {
      const body = () => Promise.reject(new Error("connection reset"));
      await expect(verifierOf()({ ...(await signed()), body })).rejects.toThrow("connection reset");
    });

    it.each([
      ["none that can be judged", "md5=:AAAA:", "malformed"],
      ["one that can't be read", "sha-256", "malformed"],
      ["one that matches and one that does not", "both", "digest_mismatch"],
    ] as const)("is refused when its digests, though signed, are %s", async (_, field, reason) => {
      const bodyDigest =
        field === "both"
          ? `${await contentDigest(BODY)}, ${await contentDigest(new Uint8Array(), "sha-512")}`
          : field;
      const request = { method: "POST", url: `http://${ORIGIN}/v2`, headers: [] };
      const headers = Object.entries(await signerOf()({ ...request, bodyDigest }));
      expect(await verifierOf()({ ...request, headers, body: BODY })).toEqual(refused(reason));
    });
  });

  it("has a sentence for each refusal", () => {
    for (const words of Object.values(REFUSALS)) expect(words).toMatch(/^[A-Z].+\.$/);
  });
});
