import { describe, expect, it } from "vitest";

import { NearsideError } from "../../../src/errors.ts";
import { checkEmbedding, checkParameters } from "../../../src/protocol/openai/parameters.ts";

const CHAT = "v1/chat/completions";
const USER = { role: "user", content: "hello" };

type Body = Readonly<Record<string, unknown>>;

/** The place that is refused; undefined when nothing is. */
function refusedBy(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof NearsideError && error.code === "invalid_request") return error.field;
    throw error;
  }
}

const refused = (path: string, body: Body) => refusedBy(() => checkParameters(path, body));

describe("checkParameters", () => {
  it.each([
    ["temperature", [0, 1.5, 2, null], [-0.1, 2.1, "1", true, Number.NaN]],
    ["top_p", [0, 0.5, 1], [-1, 1.1, "all"]],
    ["n", [1, 128], [0, 129, 1.5]],
    ["max_tokens", [1, 1_000_000], [0, -1, 2.5, "9"]],
    ["max_completion_tokens", [1], [0]],
    ["presence_penalty", [-2, 2], [-3, 3]],
    ["frequency_penalty", [-2, 2], [-3, 3]],
    ["seed", [-1, 0, 7], [0.5, "x"]],
    ["stop", ["a", [], ["a", "b", "c", "d"], null], [7, [7], ["a", "b", "c", "d", "e"]]],
    ["stream_options", [{}, null], [true, []]],
  ])("knows what %s may be", (name, good, bad) => {
    for (const value of good) {
      expect(refused(CHAT, { messages: [USER], [name]: value })).toBeUndefined();
    }
    for (const value of bad) expect(refused(CHAT, { messages: [USER], [name]: value })).toBe(name);
  });

  it.each<[unknown, string | undefined]>([
    [[USER], undefined],
    [[{ role: "user", content: [{ type: "text", text: "a" }] }], undefined],
    [[USER, { role: "assistant", tool_calls: [] }], undefined],
    [[USER, { role: "assistant", content: null }], undefined],
    [undefined, "messages"],
    [[], "messages"],
    ["hello", "messages"],
    [["hello"], "messages[0]"],
    [[{ content: "a" }], "messages[0].role"],
    [[USER, { role: "root", content: "a" }], "messages[1].role"],
    [[{ role: "user" }], "messages[0].content"],
    [[{ role: "user", content: null }], "messages[0].content"],
    [[{ role: "user", content: 7 }], "messages[0].content"],
    [[{ role: "user", content: ["a"] }], "messages[0].content"],
    [[{ role: "user", content: [] }], "messages[0].content"],
  ])("says of the messages %j that %s is wrong", (messages, field) => {
    expect(refused(CHAT, { messages })).toBe(field);
  });

  it.each([
    ["v1/completions", "prompt"],
    ["v1/embeddings", "input"],
  ])("wants texts or tokens of %s in %s", (path, name) => {
    for (const value of ["a", ["a", "b"], [1, 2], [[1], [2, 3]]]) {
      expect(refused(path, { [name]: value })).toBeUndefined();
    }
    for (const value of [undefined, null, 7, [], [[]], ["a", 1], [{}], [-1]]) {
      expect(refused(path, { [name]: value })).toBe(name);
    }
  });
});

describe("checkEmbedding", () => {
  it.each([
    ["encoding_format", ["float", "base64", null, undefined], ["hex", "", 1, true]],
    ["corpus", [null, undefined], ["docs", "", 1]],
    ["dimensions", [1, 384, null], [0, 385, 1.5, "2", Number.NaN]],
    ["user", ["ada", "", null], [7, {}, ["ada"]]],
    ["input", ["", ["a"], [0], [[1], [2, 3]]], [null, 7, [], [[]], ["a", 1], [-1], [1.5], [[[1]]]]],
  ])("knows what %s may be", (name, good, bad) => {
    const refusal = (value: unknown) =>
      refusedBy(() => checkEmbedding({ input: "a", [name]: value }, 384));
    for (const value of good) expect(refusal(value)).toBeUndefined();
    for (const value of bad) expect(refusal(value)).toBe(name);
  });
});
