import { SELF } from "cloudflare:test";
import { beforeAll, describe, expect, it } from "vitest";

import type { AccessVerifier } from "../../../src/accounts/access-jwt.ts";
import { NearsideError } from "../../../src/errors.ts";
import { TOKEN, controlOf, publishModels } from "../../support/control.ts";

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

const access: AccessVerifier = (token) =>
  token === "good"
    ? Promise.resolve("ada@acme.test")
    : Promise.reject(new NearsideError("unauthorized", "That token is no good."));
const assertion = (token: string) => ({ "cf-access-jwt-assertion": token });

beforeAll(() => publishModels({ m: [1, 2] }));

/** Who the audit log says has moved `stable` last. */
async function actorOf(headers: Record<string, string>, control = controlOf()): Promise<unknown> {
  for (const version of [2, 1]) {
    await control.send("/v1/models/m/labels/stable", {
      method: "PUT",
      headers: { ...headers, "if-match": "*", "content-type": "application/json" },
      body: JSON.stringify({ version }),
    });
  }
  const { json } = await controlOf().get("/v1/audit?limit=1");
  return (json as { actor: string }[])[0]?.actor;
}

describe("whoever asks the control plane", () => {
  it("needs nothing to learn what it is, and a token for everything else", async () => {
    const { send } = controlOf();
    expect((await send("/")).status).toBe(200);
    expect((await send("/openapi.json")).status).toBe(200);
    const refused = await send("/v1/models");
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toBe("Bearer");
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    expect(await refused.json()).toMatchObject({
      code: "unauthorized",
      detail: "Send the admin token: Authorization: Bearer <ADMIN_TOKEN>.",
    });
  });

  it.each([
    ["another token", bearer("another")],
    ["one of the same length", bearer(TOKEN.replace("t", "T"))],
    ["a part of it", bearer(TOKEN.slice(0, -1))],
    ["more than it", bearer(`${TOKEN}x`)],
    ["none after the scheme", bearer("")],
    ["another scheme", { authorization: `Basic ${TOKEN}` }],
  ])("is refused with %s, and told what to send", async (_, headers) => {
    const response = await controlOf().send("/v1/models", { headers });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({
      detail: expect.stringContaining("send Authorization: Bearer <ADMIN_TOKEN>"),
    });
  });

  it("is let in by the real Worker with the real secret", async () => {
    const response = await SELF.fetch("https://control.test/v1/models", {
      headers: bearer(TOKEN),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("no-store");
  });

  it.each([undefined, ""])("is told how to set a secret while it is %j", async (adminToken) => {
    const { send } = controlOf({ adminToken });
    for (const headers of [{}, bearer(""), bearer("undefined"), assertion("good")]) {
      const response = await send("/v1/models", { headers });
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({
        detail: expect.stringContaining("npx wrangler secret put ADMIN_TOKEN"),
      });
    }
  });

  it("may come through Cloudflare Access instead", async () => {
    const { send } = controlOf({ adminToken: undefined, access });
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await send("/v1/models", { headers })).status;
    expect(await status(assertion("good"))).toBe(200);
    expect(await status(assertion("bad"))).toBe(401);
    expect(await status({})).toBe(401);
    expect(await status({ ...assertion("good"), ...bearer("wrong") })).toBe(401);
  });
});

describe("the actor of a change", () => {
  it("is who shows the admin token, by the name that they give", async () => {
    expect(await actorOf(bearer(TOKEN))).toBe("admin token");
    expect(await actorOf({ ...bearer(TOKEN), "nearside-actor": "Ada L." })).toBe(
      "Ada L. (admin token)",
    );
  });

  it("is whom Access vouches for, whatever name they give", async () => {
    const headers = { ...assertion("good"), "nearside-actor": "root" };
    expect(await actorOf(headers, controlOf({ access }))).toBe("ada@acme.test");
  });

  it.each(["", "x".repeat(65), "tab\there"])("can't be called %j", async (name) => {
    const response = await controlOf().send("/v1/models", {
      headers: { ...bearer(TOKEN), "nearside-actor": name },
    });
    expect(await response.json()).toMatchObject({
      code: "invalid_request",
      field: "nearside-actor",
    });
  });
});
