import { createSignature, webcrypto } from "http-message-sig";

import { contentDigest } from "../../src/origin/content-digest.ts";
import { ReplayGuard } from "../../src/origin/replay-guard.ts";
import { REQUIRED_COMPONENTS, type SignerOptions, createSigner } from "../../src/origin/sign.ts";
import { importPrivateKey } from "../../src/origin/signing-keys.ts";
import {
  type ReceivedRequest,
  type VerifierOptions,
  createVerifier,
} from "../../src/origin/verify.ts";

/** RFC 9421, appendix B.1.4. */
export const PUBLIC_KEY = {
  kty: "OKP",
  crv: "Ed25519",
  kid: "test-key-ed25519",
  x: "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs",
} as const;
export const PRIVATE_KEY = { ...PUBLIC_KEY, d: "n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU" };

/** RFC 9421, appendix B.2.6: the message, without what signs it. */
export const RFC_REQUEST = {
  kind: "request",
  method: "POST",
  targetUri: "https://example.com/foo?param=Value&Pet=dog",
  fields: [
    { name: "date", value: "Tue, 20 Apr 2021 02:07:55 GMT" },
    { name: "content-type", value: "application/json" },
    {
      name: "content-digest",
      value:
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
    },
    { name: "content-length", value: "18" },
  ],
} as const;
export const RFC_COMPONENTS = [
  "date",
  "@method",
  "@path",
  "@authority",
  "content-type",
  "content-length",
];
export const RFC_SIGNATURE = {
  signatureInput:
    'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
  signature:
    "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
};

export const NOW_SECONDS = 1_800_000_000;
export const ORIGIN = "gpu-1.example:8000";
export const BODY = new TextEncoder().encode('{"inputs":[1,2,3]}');

/** Has the form of a signature, and is none. */
export const FORGED = `nearside=:${"A".repeat(86)}==:`;

export function signerOf(overrides: Partial<SignerOptions> = {}) {
  let nonces = 0;
  return createSigner({
    privateKey: PRIVATE_KEY,
    keyId: "edge-1",
    now: () => NOW_SECONDS * 1000,
    randomId: () => `nonce-${nonces++}`,
    ...overrides,
  });
}

export function verifierOf(overrides: Partial<VerifierOptions> = {}) {
  return createVerifier({
    keys: new Map([["edge-1", PUBLIC_KEY]]),
    now: () => NOW_SECONDS * 1000,
    replay: new ReplayGuard(),
    authorities: [ORIGIN],
    ...overrides,
  });
}

export interface SignedRequest extends ReceivedRequest {
  readonly headers: [string, string][];
  readonly body: Uint8Array;
}

/** A signed request as the origin receives it. */
export async function signed(
  options: Partial<SignerOptions> = {},
  parts: { method?: string; url?: string; headers?: [string, string][]; body?: Uint8Array } = {},
): Promise<SignedRequest> {
  const { method = "POST", url = `http://${ORIGIN}/v2/models/minilm/infer?seed=1` } = parts;
  const { body = BODY, headers = [["Content-Type", "application/json"]] } = parts;
  const added = await signerOf(options)({
    method,
    url,
    headers,
    bodyDigest: body.length === 0 ? undefined : await contentDigest(body),
  });
  return { method, url, headers: [...headers, ...Object.entries(added)], body };
}

/** The same with one header changed, or without it. */
export function withHeader(
  request: SignedRequest,
  name: string,
  change: (value: string) => string | undefined,
): SignedRequest {
  const headers = request.headers.flatMap(([given, value]): [string, string][] => {
    if (given.toLowerCase() !== name) return [[given, value]];
    const changed = change(value);
    return changed === undefined ? [] : [[given, changed]];
  });
  return { ...request, headers };
}

const PARAMETERS = {
  created: NOW_SECONDS,
  expires: NOW_SECONDS + 60,
  nonce: "n",
  keyid: "edge-1",
  tag: "nearside",
};

/** A request signed with a trusted key by someone who does it differently. */
export async function signedOtherwise({
  label = "nearside",
  components = [...REQUIRED_COMPONENTS] as Parameters<typeof createSignature>[1]["components"],
  parameters = {} as Record<string, string | number | undefined>,
  algorithm = "ed25519",
}): Promise<SignedRequest> {
  const url = `http://${ORIGIN}/v2`;
  const digest = await contentDigest(BODY);
  const { sign } = webcrypto.signer(await importPrivateKey(PRIVATE_KEY));
  const fields = [{ name: "content-digest", value: digest }];
  const added = await createSignature(
    { kind: "request", method: "POST", targetUri: url, fields },
    {
      label,
      components,
      parameters: { ...PARAMETERS, ...parameters },
      signer: { algorithm, sign },
    },
  );
  const headers: [string, string][] = [
    ["content-digest", digest],
    ["signature-input", added.signatureInput],
    ["signature", added.signature],
  ];
  return { method: "POST", url, headers, body: BODY };
}
