import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";

import { consoleLog } from "../../src/telemetry/log.ts";

/** What was logged, parsed; each call must be one line of JSON. */
function capture(method: "warn" | "error") {
  const spy = vi.spyOn(console, method).mockImplementation(() => {});
  return (): Record<string, unknown>[] =>
    spy.mock.calls.map((words) => {
      expect(words).toHaveLength(1);
      expect(words[0]).toBeTypeOf("string");
      expect(words[0]).not.toContain("\n");
      return JSON.parse(String(words[0])) as Record<string, unknown>;
    });
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("consoleLog", () => {
  it("writes a warning as one line of JSON with its fields", () => {
    const lines = capture("warn");
    consoleLog.warn("rate_limited", { account: "a\nb", count: 3, hard: true, absent: undefined });
    consoleLog.warn("plain");
    expect(lines()).toEqual([
      { level: "warn", event: "rate_limited", account: "a\nb", count: 3, hard: true },
      { level: "warn", event: "plain" },
    ]);
  });

  it("writes an error with its stack and the stacks of its causes", () => {
    const lines = capture("error");
    const root = new RangeError("root");
    const middle = new TypeError("middle", { cause: root });
    consoleLog.error("request_failed", new Error("outer", { cause: middle }), { requestId: "7" });
    const [line] = lines();
    expect(line).toMatchObject({ level: "error", event: "request_failed", requestId: "7" });
    expect(line?.["cause"]).toMatch(
      /^Error: outer\n[^]*log\.test\.ts[^]* <- TypeError: middle[^]* <- RangeError: root/,
    );
  });

  it.each([
    ["a string", "word", "word"],
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
    ["a bigint", 1n, "1"],
    ["a symbol", Symbol("s"), "Symbol(s)"],
  ])("writes %s that was thrown", (_name, thrown, text) => {
    const lines = capture("error");
    consoleLog.error("odd", thrown);
    expect(lines()).toEqual([{ level: "error", event: "odd", cause: text }]);
  });

  it("writes the message of an error without a stack, and a cause that is no error", () => {
    const lines = capture("error");
    const error = new Error("bare", { cause: "a word" });
    Object.defineProperty(error, "stack", { value: undefined });
    consoleLog.error("odd", error);
    expect(lines()[0]?.["cause"]).toBe("bare <- a word");
  });

  it("never throws, whatever was thrown", () => {
    const lines = capture("error");
    const circular = new Error("circular");
    circular.cause = circular;
    const hostile = {
      toString() {
        throw new Error("no words");
      },
    };
    for (const thrown of [circular, hostile, Object.create(null)]) {
      consoleLog.error("odd", thrown);
    }
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), (thrown) => {
        consoleLog.error("odd", new Error("outer", { cause: thrown }));
      }),
    );
    for (const line of lines()) expect(line["cause"]).toBeTypeOf("string");
  });
});
