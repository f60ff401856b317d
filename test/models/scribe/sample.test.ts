import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { decode, encode, encodePrompt, END, VOCABULARY } from "../../../models/scribe/alphabet.ts";
import { mulberry32 } from "../../../models/scribe/random.ts";
import {
  chooseToken,
  generate,
  type Piece,
  type SamplingOptions,
  type Step,
} from "../../../models/scribe/sample.ts";
import { near } from "../../publish/support.ts";

const DEFAULTS: SamplingOptions = { temperature: 1, topP: 1, seed: 1, maxTokens: 100, stop: [] };

interface Text {
  readonly text: string;
  readonly pieces: readonly Piece[];
  readonly last: Piece | undefined;
}

async function textOf<S>(step: Step<S>, prompt: string, options: SamplingOptions): Promise<Text> {
  const pieces: Piece[] = [];
  for await (const piece of generate(step, encodePrompt(prompt), options, { end: END, decode })) {
    pieces.push(piece);
  }
  return { text: pieces.map(({ text }) => text).join(""), pieces, last: pieces.at(-1) };
}

/** A model that is sure of every character, and of the end after the last. */
function reciting(text: string): Step<number> {
  const tokens = [...encode(text), END];
  return (_, place = 0) => {
    const logits = Array<number>(VOCABULARY).fill(-100);
    logits[tokens[place] ?? END] = 100;
    return Promise.resolve({ logits, state: place + 1 });
  };
}

describe("choosing a token", () => {
  const logits = [1, 3, 0, 2.5, -1];
  const shares = (temperature: number): number[] => {
    const weights = logits.map((logit) => Math.exp(logit / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  };
  const frequencies = (temperature: number, topP: number): number[] => {
    const DRAWS = 20_000;
    const random = mulberry32(5);
    const counts = logits.map(() => 0);
    for (let draw = 0; draw < DRAWS; draw++) {
      counts[chooseToken(logits, { temperature, topP }, random)]! += 1 / DRAWS;
    }
    return counts;
  };

  it.each([0.5, 1, 2])("follows the softmax at temperature %d", (temperature) => {
    expect(frequencies(temperature, 1)).toEqual(
      shares(temperature).map((share) => near(share, 0.01)),
    );
  });

  it("takes the likeliest at temperature 0, and the first of equals", () => {
    const never = (): number => {
      throw new Error("greedy choice needs no chance");
    };
    expect(chooseToken(logits, { temperature: 0, topP: 1 }, never)).toBe(1);
    expect(chooseToken([2, 7, 7], { temperature: 0, topP: 1 }, never)).toBe(1);
  });

  it.each([
    [0.01, [1]],
    [0.5, [1]],
    [0.6, [1, 3]],
    [0.93, [0, 1, 3]],
    [1, [0, 1, 2, 3, 4]],
  ])("keeps to the likeliest tokens that have a probability of %d", (topP, allowed) => {
    const seen = frequencies(1, topP);
    const all = shares(1);
    const total = allowed.reduce((sum, token) => sum + all[token]!, 0);
    expect(seen).toEqual(
      all.map((share, token) =>
        near(allowed.includes(token) ? share / total : 0, allowed.includes(token) ? 0.01 : 0),
      ),
    );
  });

  it("refuses to choose from nothing", () => {
    expect(() => chooseToken([], DEFAULTS, () => 0)).toThrow(RangeError);
  });
});

describe("generating", () => {
  it("ends where the model ends", async () => {
    const { text, last } = await textOf(reciting("Hello."), "", DEFAULTS);
    expect(text).toBe("Hello.");
    expect(last).toEqual({ text: "", tokens: 7, finish: "stop" });
  });

  it("ends after so many tokens", async () => {
    const { text, last } = await textOf(reciting("Hello."), "", { ...DEFAULTS, maxTokens: 4 });
    expect(text).toBe("Hell");
    expect(last).toEqual({ text: "", tokens: 4, finish: "length" });
  });

  it.each([
    ["in the middle", "one two three", ["two"], "one "],
    ["of one character", "one two three", ["t"], "one "],
    ["at once", "one two three", ["one"], ""],
    ["after a false start", "ababac", ["abac"], "ab"],
    ["the one that is complete first", "abcdef", ["bcdef", "cd"], "ab"],
    ["a line break", "a\n\nb", ["\n\n"], "a"],
  ])("ends before a stop string: %s", async (_, all, stop, expected) => {
    const { text, last, pieces } = await textOf(reciting(all), "", { ...DEFAULTS, stop });
    expect(text).toBe(expected);
    expect(last?.finish).toBe("stop");
    expect(pieces.filter(({ finish }) => finish !== undefined)).toHaveLength(1);
  });

  it.each([
    ["never comes", "one two", ["three"], "one two"],
    ["is only begun when the text ends", "one tw", ["two"], "one tw"],
    ["is empty", "one", [""], "one"],
  ])("writes all when the stop string %s", async (_, all, stop, expected) => {
    expect((await textOf(reciting(all), "", { ...DEFAULTS, stop })).text).toBe(expected);
  });

  it("gives back what it held when tokens run out", async () => {
    const options = { ...DEFAULTS, stop: ["abcd"], maxTokens: 3 };
    expect((await textOf(reciting("abcd"), "", options)).last).toEqual({
      text: "abc",
      tokens: 3,
      finish: "length",
    });
  });

  it("cuts at the first stop string, wherever tokens begin and end", async () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 30 });
    const stops = fc.array(
      fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }),
      {
        minLength: 1,
        maxLength: 3,
      },
    );
    await fc.assert(
      fc.asyncProperty(letters, stops, async (all, stop) => {
        const complete = (text: string): boolean => stop.some((one) => text.endsWith(one));
        const end = Array.from(all, (_, at) => at + 1).find((at) => complete(all.slice(0, at)));
        const cut = stop.map((one) => all.slice(0, end).indexOf(one)).filter((at) => at >= 0);
        const expected = end === undefined ? all : all.slice(0, Math.min(...cut));
        const { text } = await textOf(reciting(all), "", { ...DEFAULTS, stop });
        expect(text).toBe(expected);
      }),
    );
  });

  it("runs the model on the prompt at once, and then on single tokens", async () => {
    const seen: (readonly number[])[] = [];
    const recite = reciting("abc");
    const step: Step<number> = (tokens, state) => {
      seen.push(tokens);
      return recite(tokens, state);
    };
    await textOf(step, "xy", { ...DEFAULTS, maxTokens: 3 });
    expect(seen).toEqual([encodePrompt("xy"), encode("a"), encode("b")]);
  });
});
