import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { isSameJson } from "../../../src/catalog/same-json.ts";
import { checkPrecondition, etagOf, preconditionOf } from "../../../src/control/precondition.ts";

const preconditionIn = (headers: Record<string, string>) =>
  preconditionOf(new Request("https://control.test/v1/catalog", { method: "PUT", headers }));

describe("an ETag", () => {
  it("is the same for what says the same, in whatever order, and another for anything else", async () => {
    expect(await etagOf({ a: 1, b: { c: 2, d: 3 } })).toBe(
      await etagOf({ b: { d: 3, c: 2 }, a: 1 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (a, b) => {
        const one = await etagOf(a);
        expect(one).toMatch(/^"[0-9a-f]{32}"$/);
        expect(await etagOf(JSON.parse(JSON.stringify(a)))).toBe(one);
        expect((await etagOf(b)) === one).toBe(isSameJson(a, b));
      }),
    );
  });

  it("is the first half of the digest of the canonical JSON", async () => {
    // printf '{"off":false,"offVersions":[]}' | sha256sum
    expect(await etagOf({ offVersions: [], off: false })).toBe(
      '"7b881d1979de1547eb2723abdb009526"',
    );
  });
});

describe("a precondition", () => {
  it.each([
    [{ "if-none-match": "*" }, { kind: "absent" }],
    [{ "if-match": " * " }, { kind: "present" }],
    [{ "if-match": '"a"' }, { kind: "is", etags: ['"a"'] }],
    [{ "if-match": '"a" , "b"' }, { kind: "is", etags: ['"a"', '"b"'] }],
  ])("is read from %j", (headers, precondition) => {
    expect(preconditionIn(headers)).toEqual(precondition);
  });

  it.each([
    [{}],
    [{ "if-none-match": '"a"' }],
    [{ "if-match": '"a"', "if-none-match": "*" }],
    [{ "if-unmodified-since": "Tue, 24 Nov 2026 00:00:00 GMT" }],
  ])("is asked for where there is only %j", (headers) => {
    expect(() => preconditionIn(headers as Record<string, string>)).toThrow(
      /PUT \/v1\/catalog must say what it changes/,
    );
  });

  it("never holds for a weak ETag", async () => {
    const weak = `W/${await etagOf({})}`;
    await expect(
      checkPrecondition({ kind: "is", etags: [weak] }, "thing", {}),
    ).rejects.toMatchObject({ code: "precondition_failed" });
  });
});
