import { contentDigest } from "../../../origin/content-digest.ts";
import { createSigner } from "../../../origin/sign.ts";
import type { ServedStack } from "../../serve.ts";
import { type Check, hold } from "../check.ts";

const BODY = Uint8Array.from(new TextEncoder().encode("{}"));
/** A signature lives a minute, and a minute of skew is forgiven. */
const LONG_AGO_MS = 5 * 60_000;

/** The development origin's verifier, asked directly. */
export const signatures: Check<ServedStack> = {
  claim:
    "unsigned, replayed, altered and expired requests are refused by the verifier, each for its reason",
  async run(stack) {
    const url = `${stack.devOrigin.url}/v2/repository/index`;
    const send = (headers: Headers, body: Uint8Array<ArrayBuffer> = BODY, target = url) =>
      fetch(target, { method: "POST", headers, body });
    const { privateKey, keyId } = stack.signingKeys;
    const signed = async (now = Date.now()): Promise<Headers> => {
      const sign = createSigner({
        privateKey,
        keyId,
        now: () => now,
        randomId: () => crypto.randomUUID(),
      });
      const headers = new Headers({ "content-type": "application/json" });
      const bodyDigest = await contentDigest(BODY);
      const added = await sign({ method: "POST", url, headers, bodyDigest });
      for (const [name, value] of Object.entries(added)) headers.set(name, value);
      return headers;
    };

    const good = await signed();
    const accepted = await send(good);
    hold(accepted.status === 200, `a signed request is answered ${accepted.status}`);
    const other = Uint8Array.from(new TextEncoder().encode("[]"));
    const cases: Readonly<Record<string, () => Promise<Response>>> = {
      unsigned: () => send(new Headers({ "content-type": "application/json" })),
      replayed: () => send(good),
      "altered body": async () => send(await signed(), other),
      "altered path": async () => send(await signed(), BODY, `${url}?ready=true`),
      expired: async () => send(await signed(Date.now() - LONG_AGO_MS)),
      "not yet valid": async () => send(await signed(Date.now() + LONG_AGO_MS)),
    };
    for (const [what, attempt] of Object.entries(cases)) {
      const { status } = await attempt();
      hold(status === 401, `${what}: ${status}`);
    }
    const metrics = await (await fetch(`${stack.devOrigin.url}/metrics`)).text();
    const reasons = [...metrics.matchAll(/refused_total\{reason="([a-z_]+)"\}/g)].map(
      ([, reason]) => reason,
    );
    hold(reasons.length >= 5, `the reasons are ${reasons.join(", ")}`);
    return { forgeriesRefused: Object.keys(cases).length, reasons: reasons.join(" ") };
  },
};
