import { describe, expect, it } from "vitest";

import { receivedUrl } from "../../src/origin/received-url.ts";
import { ORIGIN, signed, verifierOf } from "./signed.ts";

describe("receivedUrl", () => {
  it.each([
    [ORIGIN, "/v2?x=1"],
    ["gpu.example", "/"],
    ["127.0.0.1:8000", "/a/../b"],
    ["[::1]:8000", "//v2"],
  ])("joins %s and %s as they are", (host, target) => {
    expect(receivedUrl(host, target)).toBe(`http://${host}${target}`);
  });

  it.each([
    [undefined, "/v2"],
    ["gpu.example", undefined],
    ["", "/v2"],
    ["gpu.example", "*"],
    ["gpu.example", "http://gpu.example/v2"],
    ["user@gpu.example", "/v2"],
    ["gpu.example/v2", "/v2"],
    ["gpu.example?", "/v2"],
    ["gpu.example#", "/v2"],
    ["gpu.example\\", "/v2"],
    ["gpu.example:80:80", "/v2"],
  ])("refuses the host %j with the target %j", (host, target) => {
    expect(receivedUrl(host, target)).toBe("");
  });

  it("keeps a part of the path from hiding in the host", async () => {
    const request = await signed();
    const { pathname, search } = new URL(request.url);
    const verify = verifierOf();
    const host = `${ORIGIN}${pathname.replace("/infer", "")}`;
    expect(await verify({ ...request, url: receivedUrl(host, `/infer${search}`) })).toEqual({
      ok: false,
      reason: "malformed",
    });
    expect(await verify({ ...request, url: receivedUrl(ORIGIN, pathname + search) })).toEqual({
      ok: true,
      keyId: "edge-1",
    });
  });
});
