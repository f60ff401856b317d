import { describe, expect, it } from "vitest";

import { checkBatch, kindOf, rawText, textField, textInputs } from "../../src/tasks/inputs.ts";
import { refusal } from "./support.ts";

describe("textInputs", () => {
  it("takes a string as one text", () => {
    expect(textInputs("", 1)).toEqual({ texts: [""], single: true });
    expect(textInputs("a", 1)).toEqual({ texts: ["a"], single: true });
  });

  it("takes an array of strings, in order, up to the limit", () => {
    expect(textInputs(["a"], 2)).toEqual({ texts: ["a"], single: false });
    expect(textInputs(["b", "a"], 2)).toEqual({ texts: ["b", "a"], single: false });
  });

  it.each([undefined, null, 5, true, {}, { text: "a" }, []])("refuses %j", (inputs) => {
    expect(() => textInputs(inputs, 8)).toThrow(refusal("invalid_input", "inputs"));
  });

  it.each([
    [["a", 5], "inputs[1]", /not a number/],
    [[null, "a", 5], "inputs[0]", /not null/],
    [["a", "b", ["c"]], "inputs[2]", /not an array/],
    [["a", { text: "b" }], "inputs[1]", /not an object/],
  ])("says which of %j is no string", (inputs, field, message) => {
    expect(() => textInputs(inputs, 8)).toThrow(refusal("invalid_input", field));
    expect(() => textInputs(inputs, 8)).toThrow(message);
  });

  it("counts before it looks at each", () => {
    expect(() => textInputs([1, 2, 3], 2)).toThrow(refusal("batch_too_large", "inputs"));
  });
});

describe("checkBatch", () => {
  it("lets the limit through, and says what it is", () => {
    expect(() => checkBatch(3, 3)).not.toThrow();
    expect(() => checkBatch(4, 3)).toThrow(refusal("batch_too_large", "inputs"));
    expect(() => checkBatch(4, 3)).toThrow(/4 inputs.* 3 at most/);
  });
});

describe("textField", () => {
  it("names the place of a text", () => {
    expect(textField(0, { texts: ["a"], single: true })).toBe("inputs");
    expect(textField(2, { texts: ["a", "b", "c"], single: false })).toBe("inputs[2]");
  });
});

describe("rawText", () => {
  it("decodes UTF-8, without its byte order mark", () => {
    expect(rawText(new TextEncoder().encode("\ufeffä日😀"))).toBe("ä日😀");
    expect(rawText(new Uint8Array())).toBe("");
  });

  it.each([
    ["Latin-1", [0xe4]],
    ["half a character", [0xf0, 0x9f, 0x98]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["UTF-16", [0xff, 0xfe, 0x61, 0x00]],
  ])("refuses %s", (_, bytes) => {
    expect(() => rawText(Uint8Array.from(bytes))).toThrow(refusal("invalid_input", "inputs"));
  });
});

describe("kindOf", () => {
  it.each([
    [null, "null"],
    [undefined, "missing"],
    [[], "an array"],
    [{}, "an object"],
    [5, "a number"],
    ["", "a string"],
    [false, "a boolean"],
  ])("calls %j %s", (value, kind) => {
    expect(kindOf(value)).toBe(kind);
  });
});
