import { SignJWT, UnsecuredJWT, createLocalJWKSet, exportJWK, generateKeyPair } from "jose";
import { describe, expect, it } from "vitest";

import { accessVerifier } from "../../src/accounts/access-jwt.ts";

const NOW = Date.UTC(2026, 10, 24);
const TEAM = "acme.cloudflareaccess.com";
const AUDIENCE = "the-application";

const ours = await generateKeyPair("RS256");
const theirs = await generateKeyPair("RS256");
const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(ours.publicKey)), kid: "1" }] });
const verify = accessVerifier({ teamDomain: TEAM, audience: AUDIENCE }, keys);

interface Claims {
  readonly issuer?: string;
  readonly audience?: string;
  readonly expiresIn?: number;
  readonly key?: CryptoKey;
  readonly payload?: Record<string, string>;
}

function token({
  issuer = `https://${TEAM}`,
  audience = AUDIENCE,
  expiresIn = 60,
  key = ours.privateKey,
  payload = { email: "ada@acme.test" },
}: Claims = {}): Promise<string> {
  const seconds = NOW / 1000;
  return new SignJWT(payload)
    .setProtectedHeader({ alg: "RS256", kid: "1" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt(seconds - 600)
    .setExpirationTime(seconds + expiresIn)
    .sign(key);
}

describe("a token of Cloudflare Access", () => {
  it("names a person by e-mail, and a service by its common name", async () => {
    expect(await verify(await token(), NOW)).toBe("ada@acme.test");
    const service = await token({ payload: { common_name: "deploy.access" } });
    expect(await verify(service, NOW)).toBe("deploy.access");
  });

  it("holds while the clocks differ by less than half a minute", async () => {
    expect(await verify(await token({ expiresIn: -20 }), NOW)).toBe("ada@acme.test");
  });

  it.each<[string, () => Promise<string> | string, string]>([
    ["has expired", () => token({ expiresIn: -60 }), "has expired; sign in again"],
    ["is for another application", () => token({ audience: "other" }), 'its "aud" is not that'],
    ["is of another team", () => token({ issuer: "https://evil.test" }), 'its "iss" is not that'],
    ["is signed by another key", () => token({ key: theirs.privateKey }), "can't be verified"],
    ["names nobody", () => token({ payload: {} }), "can't be verified"],
    [
      "is not signed at all",
      () =>
        new UnsecuredJWT({ email: "eve@acme.test" })
          .setIssuer(`https://${TEAM}`)
          .setAudience(AUDIENCE)
          .setExpirationTime(NOW / 1000 + 60)
          .encode(),
      "can't be verified",
    ],
    [
      "is signed with the public key as a secret",
      () =>
        new SignJWT({ email: "eve@acme.test" })
          .setProtectedHeader({ alg: "HS256", kid: "1" })
          .setIssuer(`https://${TEAM}`)
          .setAudience(AUDIENCE)
          .setExpirationTime(NOW / 1000 + 60)
          .sign(new TextEncoder().encode("a public key, in whatever encoding")),
      "can't be verified",
    ],
    ["has lost its signature", async () => (await token()).replace(/[^.]*$/, ""), "can't be"],
    ["is none", () => "not.a.token", "can't be verified"],
    ["is empty", () => "", "can't be verified"],
  ])("is refused when it %s", async (_, make, words) => {
    const refused = verify(await make(), NOW);
    await expect(refused).rejects.toMatchObject({
      code: "unauthorized",
      field: "cf-access-jwt-assertion",
      message: expect.stringContaining(words),
    });
  });

  it("is refused, and not our fault, while the team's keys can't be fetched", async () => {
    const blind = accessVerifier({ teamDomain: TEAM, audience: AUDIENCE }, () =>
      Promise.reject(new Error("no network")),
    );
    await expect(blind(await token(), NOW)).rejects.toMatchObject({ code: "unauthorized" });
  });
});
