import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { contentDigest } from "../../src/origin/content-digest.ts";
import { createSigner } from "../../src/origin/sign.ts";
import { generateSigningKeys, type SigningKeys } from "../../src/origin/signing-keys.ts";
import { openOrigin, Shop } from "./support.ts";

const shop = new Shop();
let origin: Awaited<ReturnType<typeof openOrigin>>;
let keys: SigningKeys;
let skewMs = 0;
let sign: ReturnType<typeof createSigner>;
beforeAll(async () => {
  await shop.publishScale("double", 1, 2);
  keys = await generateSigningKeys();
  sign = createSigner({
    ...keys,
    now: () => Date.now() + skewMs,
    randomId: () => crypto.randomUUID(),
  });
  origin = await openOrigin(shop, { keys: new Map([[keys.keyId, keys.publicKey]]) });
});
afterAll(() => origin.stop());

const PATH = "/v2/models/double/infer";
const BODY = new TextEncoder().encode(
  JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 2], data: [1, 2] }] }),
);

async function signed(method: string, path: string, body?: Uint8Array) {
  const headers = { "content-type": "application/json" };
  const bodyDigest = body && (await contentDigest(body));
  const url = origin.url + path;
  return {
    ...headers,
    ...(await sign({ method, url, headers: Object.entries(headers), bodyDigest })),
  };
}

describe("an origin that trusts one key", () => {
  it("answers what is signed with it, once", async () => {
    const headers = await signed("POST", PATH, BODY);
    expect((await origin.ask(PATH, BODY, headers)).status).toBe(200);
    const again = await origin.ask(PATH, BODY, headers);
    expect([again.status, again.json]).toEqual([
      401,
      { error: "Only signed requests are answered here.", code: "invalid_signature" },
    ]);
    expect(origin.metrics.get("refused", "replayed")).toBe(1);
    expect((await origin.ask("/v2", undefined, await signed("GET", "/v2"))).status).toBe(200);
  });

  it("refuses everything else, and counts why", async () => {
    expect((await origin.ask(PATH, BODY)).status).toBe(401);
    expect(origin.metrics.get("refused", "unsigned")).toBe(1);

    const other = new Uint8Array(BODY);
    other[0] = 0x20;
    expect((await origin.ask(PATH, other, await signed("POST", PATH, BODY))).status).toBe(401);
    expect(origin.metrics.get("refused", "digest_mismatch")).toBe(1);

    skewMs = -3_600_000;
    expect((await origin.ask(PATH, BODY, await signed("POST", PATH, BODY))).status).toBe(401);
    skewMs = 0;
    expect(origin.metrics.get("refused", "expired")).toBe(1);
  });

  it.each(["/v2", "/v2/models/double", "/v2/models/double/ready"])(
    "refuses %s unsigned",
    async (path) => {
      expect((await origin.ask(path)).status).toBe(401);
    },
  );

  it("refuses OpenAI's clients in their own form", async () => {
    const { status, json } = await origin.ask("/v1/chat/completions", {});
    expect([status, json]).toEqual([
      401,
      {
        error: {
          message: "Only signed requests are answered here.",
          type: "authentication_error",
          param: null,
          code: "invalid_signature",
        },
      },
    ]);
  });

  it.each(["/v2/health/live", "/v2/health/ready", "/v1/models", "/metrics"])(
    "lets everybody ask %s",
    async (path) => {
      expect((await origin.ask(path)).status).toBe(200);
    },
  );
});
