import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { EventCutter } from "../../../src/protocol/openai/events.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The events of a stream that comes in these pieces. */
function cut(parts: readonly Uint8Array[]) {
  const cutter = new EventCutter();
  return [...parts.flatMap((piece) => cutter.push(piece)), ...cutter.end()];
}

/** In pieces that end at these places. */
function pieces(text: string, ends: readonly number[]): Uint8Array[] {
  const bytes = encoder.encode(text);
  const places = [0, ...ends.map((end) => end % (bytes.length + 1)), bytes.length];
  places.sort((a, b) => a - b);
  return places.slice(1).map((end, index) => bytes.slice(places[index], end));
}

const lineEnds = fc.constantFrom("\n", "\r\n", "\r");
const events = fc.array(
  fc
    .tuple(
      fc.constantFrom("", "token", "error"),
      fc.array(fc.constantFrom("a", "é", "{}", "")),
      lineEnds,
    )
    .map(([type, data, end]) => ({
      type,
      data: data.join("\n"),
      text: [`event:${type}`, ...data.map((line) => `data:${line}`), ""].join(end) + end,
    })),
);

describe("EventCutter", () => {
  it("finds the same events however lines end and the stream is cut", () => {
    fc.assert(
      fc.property(events, fc.array(fc.nat()), (expected, ends) => {
        const text = expected.map((event) => event.text).join("");
        const found = cut(pieces(text, ends));
        expect(found.map(({ bytes }) => decoder.decode(bytes)).join("")).toBe(text);
        // A line feed that was cut from its return may stand alone at the end.
        const told = found.filter(({ bytes }) => bytes.length > 1);
        expect(told.map(({ type, data }) => ({ type, data }))).toEqual(
          expected.map(({ type, data }) => ({ type, data })),
        );
      }),
    );
  });

  it.each(["\n", "\r\n", "\r"])("gives an event as soon as its empty line %j has begun", (end) => {
    const cutter = new EventCutter();
    expect(cutter.push(encoder.encode(`data:1${end}`))).toEqual([]);
    const [event] = cutter.push(encoder.encode(end.slice(0, 1)));
    expect(event?.data).toBe("1");
  });

  it("gives what is left at the end", () => {
    expect(cut([encoder.encode("data:1\n\ndata:2")]).map(({ data }) => data)).toEqual(["1", "2"]);
  });

  it("looks at each byte once, in pieces of one byte too", () => {
    const cutter = new EventCutter();
    const byte = Uint8Array.of(0x61);
    const start = performance.now();
    for (let count = 0; count < 1_000_000; count++) cutter.push(byte);
    // Looking at all of them each time took 10 seconds for a fifth of this.
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  it("gives up an event that does not end", () => {
    const cutter = new EventCutter();
    const piece = new Uint8Array(600_000).fill(0x61);
    cutter.push(piece);
    expect(() => cutter.push(piece)).toThrow("without end");
  });
});
