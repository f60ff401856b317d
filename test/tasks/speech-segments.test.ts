import { readFile } from "node:fs/promises";
import path from "node:path";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import authors from "../../models/vad/samples/speech.json";
import { ROOT } from "../../src/publish/workspace.ts";
import {
  type SegmentOptions,
  speechScore,
  speechSegments,
} from "../../src/tasks/speech-segments.ts";
import { parseWav } from "../../src/tasks/wav.ts";

const recording = await readFile(path.join(ROOT, "models/vad/samples/speech.wav"));

/** Silero's defaults at 16 kHz. */
const DEFAULTS: SegmentOptions = {
  stepSamples: 512,
  threshold: 0.5,
  endThreshold: 0.35,
  minSpeechSamples: 4_000,
  minSilenceSamples: 1_600,
  padSamples: 480,
};

/** Steps of 10 samples, nothing dropped, joined or padded. */
const PLAIN: SegmentOptions = {
  stepSamples: 10,
  threshold: 0.5,
  endThreshold: 0.25,
  minSpeechSamples: 0,
  minSilenceSamples: 0,
  padSamples: 0,
};

/** Probabilities of a drawing: `#` is speech, `+` lies between the thresholds, `.` is silence. */
function drawn(steps: string): Float32Array {
  return Float32Array.from(steps, (step) => (step === "#" ? 0.75 : step === "+" ? 0.375 : 0.125));
}

function segmentsOf(
  steps: string,
  options: Partial<SegmentOptions> = {},
  totalSamples = steps.length * PLAIN.stepSamples,
): number[][] {
  const segments = speechSegments(drawn(steps), totalSamples, { ...PLAIN, ...options });
  return segments.map(({ start, end }) => [start, end]);
}

describe("speechSegments", () => {
  it("finds in the authors' probabilities exactly the authors' segments", () => {
    const probabilities = Float32Array.from(authors.probabilities);
    const segments = speechSegments(probabilities, parseWav(recording, "file").frames, DEFAULTS);
    expect(segments.map(({ start, end }) => ({ start, end }))).toEqual(authors.segments);
    for (const { score } of segments) expect(score).toBeGreaterThan(0.9);
  });

  it.each([
    ["nothing", "", []],
    ["silence", "......", []],
    ["speech alone", "###", [[0, 30]]],
    ["speech amid silence", "..##..", [[20, 40]]],
    ["speech until the end", "...##", [[30, 50]]],
    [
      "two stretches",
      ".##..#.",
      [
        [10, 30],
        [50, 60],
      ],
    ],
    ["no start between the thresholds", ".++++.", []],
    ["no end between the thresholds", ".#++#.", [[10, 50]]],
    ["an end between the thresholds only once it falls below", ".#++.", [[10, 40]]],
  ])("finds %s", (_, steps, expected) => {
    expect(segmentsOf(steps)).toEqual(expected);
  });

  it("starts at the threshold, and goes on at the end threshold", () => {
    const at = (...probabilities: number[]) =>
      speechSegments(Float32Array.from(probabilities), 10 * probabilities.length, PLAIN).length;
    expect([at(0.5), at(0.499)]).toEqual([1, 0]);
    expect([at(0.5, 0.25, 0.5), at(0.5, 0.249, 0.5)]).toEqual([1, 2]);
  });

  it.each([
    ["joins speech over a silence that is too short", ".##..##", 30, [[10, 70]]],
    [
      "parts it at a silence that is long enough",
      ".##...##..",
      20,
      [
        [10, 30],
        [60, 100],
      ],
    ],
    [
      "counts a silence from its first step",
      ".#.+.#...",
      20,
      [
        [10, 20],
        [50, 60],
      ],
    ],
    ["takes a silence at the end, when it is too short, for speech", ".##..", 30, [[10, 50]]],
    ["starts to count anew after speech", "#..#..#", 30, [[0, 70]]],
  ])("%s", (_, steps, minSilenceSamples, expected) => {
    expect(segmentsOf(steps, { minSilenceSamples })).toEqual(expected);
  });

  it("drops speech that is no longer than the least", () => {
    expect(segmentsOf("#.##.###.", { minSpeechSamples: 10 })).toEqual([
      [20, 40],
      [50, 80],
    ]);
    expect(segmentsOf("#.##.###", { minSpeechSamples: 20 })).toEqual([[50, 80]]);
    // The last step is not whole.
    expect(segmentsOf("..##", { minSpeechSamples: 18 }, 38)).toEqual([]);
    expect(segmentsOf("..##", { minSpeechSamples: 18 }, 39)).toEqual([[20, 39]]);
  });

  it.each([
    ["at both ends", "..##..", 7, [[13, 47]]],
    ["no further than the audio", "#..", 15, [[0, 25]]],
    ["no further than its end", ".##", 15, [[0, 30]]],
    [
      "in full where there is room",
      "#..#",
      10,
      [
        [0, 20],
        [20, 40],
      ],
    ],
    [
      "by half of what is between",
      "#.#",
      7,
      [
        [0, 15],
        [15, 30],
      ],
    ],
  ])("pads %s", (_, steps, padSamples, expected) => {
    expect(segmentsOf(steps, { padSamples })).toEqual(expected);
  });

  it("leaves the middle sample of an odd gap to nobody", () => {
    expect(segmentsOf("#.#", { stepSamples: 5, padSamples: 9 }, 15)).toEqual([
      [0, 7],
      [8, 15],
    ]);
  });

  it("pads what is left after short speech was dropped", () => {
    expect(segmentsOf("##.#.##", { minSpeechSamples: 10, padSamples: 12 })).toEqual([
      [0, 32],
      [38, 70],
    ]);
  });

  it("scores a segment by the mean of its steps, without the padding", () => {
    const probabilities = Float32Array.from([0, 0.5, 1, 0.375, 0.125, 0, 0.75]);
    const segments = speechSegments(probabilities, 70, { ...PLAIN, padSamples: 5 });
    expect(segments.map(({ score }) => score)).toEqual([(0.5 + 1 + 0.375) / 3, 0.75]);
  });

  it("makes segments that are in order, apart, within the audio, and hold the speech", () => {
    const options = fc.record({
      minSpeechSamples: fc.nat(60),
      minSilenceSamples: fc.nat(60),
      padSamples: fc.nat(60),
    });
    const steps = fc.array(fc.constantFrom("#", "#", "#", "+", ".", "."), { maxLength: 60 });
    fc.assert(
      fc.property(steps, options, fc.nat(9), (drawing, some, missing) => {
        const total = Math.max(0, 10 * drawing.length - missing);
        const segments = segmentsOf(drawing.join(""), some, total);
        let free = 0;
        for (const [start = -1, end = -1] of segments) {
          expect(start).toBeGreaterThanOrEqual(free);
          expect(end - start).toBeGreaterThan(some.minSpeechSamples);
          expect(drawing.slice(Math.floor(start / 10), Math.ceil(end / 10))).toContain("#");
          free = end;
        }
        expect(free).toBeLessThanOrEqual(total);
        if (some.minSpeechSamples > 0) return;
        const missed = drawing.findIndex((mark, step) => {
          const at = Math.min(10 * step, total - 1);
          return mark === "#" && !segments.some(([start = 0, end = 0]) => at >= start && at < end);
        });
        expect(missed).toBe(-1);
      }),
      { numRuns: 500 },
    );
  });
});

describe("speechScore", () => {
  const of = (probabilities: readonly number[], minSpeechSamples = 30) =>
    speechScore(Float32Array.from(probabilities), { stepSamples: 10, minSpeechSamples });

  it.each<[string, readonly number[], number]>([
    ["the best stretch of three steps", [0, 0.5, 0.75, 1, 0, 0], 0.75],
    ["a stretch at the end", [0, 0, 0, 0.5, 0.5, 0.5], 0.5],
    ["a single step, as little", [0, 0, 0.75, 0, 0], 0.25],
    ["a recording of two steps, as their mean", [1, 0.5], 0.75],
    ["nothing, in silence", [0, 0, 0, 0], 0],
  ])("is that of %s", (_, probabilities, score) => {
    expect(of(probabilities)).toBe(score);
  });

  it("takes at least one step", () => {
    expect(of([0, 0.75, 0], 0)).toBe(0.75);
  });

  it("lies between the mean and the highest of all", () => {
    const some = fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(some, fc.nat(200), (probabilities, samples) => {
        const score = of(probabilities, samples);
        expect(score).toBeLessThanOrEqual(Math.max(...probabilities) + 1e-6);
        expect(score).toBeGreaterThanOrEqual(Math.min(...probabilities) - 1e-6);
      }),
    );
  });
});
