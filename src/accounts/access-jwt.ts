import { type JWTVerifyGetKey, createRemoteJWKSet, errors, jwtVerify } from "jose";

import { NearsideError } from "../errors.ts";

/** Clocks of Access and of this machine may differ by so much. */
const CLOCK_SKEW_SECONDS = 30;
/** What Access signs with; a token that names anything else, `none` included, is refused. */
const ALGORITHMS = ["RS256", "ES256"];

export interface AccessSettings {
  /** `acme.cloudflareaccess.com` */
  readonly teamDomain: string;
  /** The application's AUD tag. */
  readonly audience: string;
}

/** Says who a token of Cloudflare Access was given to. @throws NearsideError `unauthorized` */
export type AccessVerifier = (token: string, now: number) => Promise<string>;

/**
 * Verifies what Cloudflare Access puts into `Cf-Access-Jwt-Assertion`
 * (https://developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/authorization-cookie/validating-json/).
 *
 * @param keys the team's public keys; fetched, and cached for as long as the verifier lives, when absent
 */
export function accessVerifier(
  { teamDomain, audience }: AccessSettings,
  keys: JWTVerifyGetKey = createRemoteJWKSet(new URL(`https://${teamDomain}/cdn-cgi/access/certs`)),
): AccessVerifier {
  return async (token, now) => {
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: `https://${teamDomain}`,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_SKEW_SECONDS,
        currentDate: new Date(now),
        requiredClaims: ["exp"],
      });
      // People have an e-mail address, service tokens a common name.
      const who = [payload.email, payload.common_name].find((name) => typeof name === "string");
      if (who === undefined || who === "") throw new Error("The token names nobody.");
      return String(who);
    } catch (error) {
      throw new NearsideError("unauthorized", words(error), {
        field: "cf-access-jwt-assertion",
        cause: error,
      });
    }
  };
}

function words(error: unknown): string {
  if (error instanceof errors.JWTExpired) {
    return "The token of Cloudflare Access has expired; sign in again.";
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return `The token of Cloudflare Access is for something else: its "${error.claim}" is not that of this application (ACCESS_TEAM_DOMAIN, ACCESS_AUDIENCE).`;
  }
  return "The token of Cloudflare Access can't be verified; sign in again.";
}
