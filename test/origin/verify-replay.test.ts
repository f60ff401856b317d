import { describe, expect, it, vi } from "vitest";

import type { RefusalReason } from "../../src/origin/refusals.ts";
import { type NonceVerdict, ReplayGuard } from "../../src/origin/replay-guard.ts";
import { generateSigningKeys } from "../../src/origin/signing-keys.ts";
import { BODY, FORGED, NOW_SECONDS, PUBLIC_KEY, signed, verifierOf, withHeader } from "./signed.ts";

const OK = { ok: true, keyId: "edge-1" };
const refused = (reason: RefusalReason) => ({ ok: false, reason });
const at = (seconds: number) => () => (NOW_SECONDS + seconds) * 1000;

describe("time", () => {
  // Created at 0, expires at 60.
  it.each([
    [-61, refused("not_yet_valid")],
    [-60, OK],
    [0, OK],
    [60, OK],
    [120, OK],
    [120.999, OK],
    [121, refused("expired")],
  ])("with 60 seconds of skew, answers at second %f: %j", async (seconds, verdict) => {
    expect(await verifierOf({ now: at(seconds) })(await signed())).toEqual(verdict);
  });

  it.each([
    [-1, refused("not_yet_valid")],
    [0, OK],
    [60, OK],
    [61, refused("expired")],
  ])("without skew, answers at second %i: %j", async (seconds, verdict) => {
    const verify = verifierOf({ now: at(seconds), maxSkewSeconds: 0 });
    expect(await verify(await signed())).toEqual(verdict);
  });
});

describe("replay", () => {
  it("accepts a request once", async () => {
    const [verify, request] = [verifierOf(), await signed()];
    expect(await verify(request)).toEqual(OK);
    expect(await verify(request)).toEqual(refused("replayed"));
    expect(await verify(await signed({ randomId: () => "another" }))).toEqual(OK);
  });

  it("accepts one of many copies that come at once", async () => {
    const [verify, request] = [verifierOf(), await signed()];
    const verdicts = await Promise.all(Array.from({ length: 20 }, () => verify(request)));
    expect(verdicts.filter(({ ok }) => ok)).toHaveLength(1);
  });

  it.each([0, 60, 119, 120, 121, 500])(
    "never accepts a copy, after %i seconds",
    async (seconds) => {
      let now = at(0);
      const verify = verifierOf({ now: () => now() });
      const request = await signed();
      await verify(request);
      now = at(seconds);
      expect(await verify(await signed({ now, randomId: () => "fresh" }))).toEqual(OK);
      expect(await verify(request)).toEqual(refused(seconds > 120 ? "expired" : "replayed"));
    },
  );

  it("never accepts a copy whose body trickles in until the original is forgotten", async () => {
    let now = at(0);
    const verify = verifierOf({ now: () => now() });
    const request = await signed();
    const body = Promise.withResolvers<Uint8Array>();
    const slow = verify({ ...request, body: () => body.promise });
    const copy = verify({ ...request, body: () => body.promise });
    now = at(300);
    expect(await verify(await signed({ now, randomId: () => "fresh" }))).toEqual(OK);
    body.resolve(BODY);
    // Which of the two is the copy, nobody can tell.
    const verdicts = await Promise.all([slow, copy]);
    expect(verdicts).toContainEqual(OK);
    expect(verdicts).toContainEqual(refused("replayed"));
  });

  it("keeps the nonces of two keys apart", async () => {
    const { keyId, privateKey, publicKey } = await generateSigningKeys("edge-2");
    const verify = verifierOf({
      keys: new Map([
        ["edge-1", PUBLIC_KEY],
        [keyId, publicKey],
      ]),
    });
    expect(await verify(await signed())).toEqual(OK);
    expect(await verify(await signed({ keyId, privateKey }))).toEqual({ ok: true, keyId });
  });

  it("takes no note of what it refuses", async () => {
    const replay = new ReplayGuard();
    const verify = verifierOf({ replay });
    const request = await signed();
    await verify({ ...request, method: "PUT" });
    await verify(withHeader(request, "signature", () => FORGED));
    expect(replay.size).toBe(0);
    expect(await verify(request)).toEqual(OK);
  });

  it("refuses more than it can remember", async () => {
    const verify = verifierOf({ replay: new ReplayGuard({ capacity: 1 }) });
    expect(await verify(await signed())).toEqual(OK);
    const next = await signed({ randomId: () => "next" });
    expect(await verify(next)).toEqual(refused("replay_memory_full"));
  });

  it("asks a store that several processes share", async () => {
    const shared = new ReplayGuard();
    const remember = vi.fn<
      (...words: Parameters<ReplayGuard["remember"]>) => Promise<NonceVerdict>
    >(async (...words) => shared.remember(...words));
    const request = await signed();
    expect(await verifierOf({ replay: { remember } })(request)).toEqual(OK);
    expect(await verifierOf({ replay: { remember } })(request)).toEqual(refused("replayed"));
    expect(remember).toHaveBeenCalledWith(
      expect.stringContaining("nonce-0"),
      NOW_SECONDS + 120,
      NOW_SECONDS,
    );
  });
});
