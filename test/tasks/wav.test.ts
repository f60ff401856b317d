import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NearsideError } from "../../src/errors.ts";
import { isRiff, monoSamples, parseWav, type PcmAudio, pcmAudio } from "../../src/tasks/wav.ts";
import { refusal } from "./support.ts";
import {
  chunk,
  encodeSamples,
  extensibleBody,
  formatBody,
  join,
  riff,
  WAV_FORMATS,
  type WavFormatName,
  wavFile,
} from "./wav-files.ts";

const parse = (bytes: Uint8Array): PcmAudio => parseWav(bytes, "inputs");
const mono = (audio: PcmAudio): number[] => Array.from(monoSamples(audio, "inputs"));
const bytes = (...values: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values);

/** Three values that every format holds exactly. */
const SAMPLES = [-1, 0, 0.5];
const FORMATS = Object.keys(WAV_FORMATS) as WavFormatName[];

/** What came of a file: `read`, or the code and field of the refusal; anything else is thrown on. */
function outcomeOf(file: Uint8Array): string {
  try {
    const audio = parse(file);
    return monoSamples(audio, "inputs").length === audio.frames ? "read" : "of another length";
  } catch (error) {
    if (error instanceof NearsideError) return `${error.code} ${error.field}`;
    throw error;
  }
}

describe("parseWav", () => {
  it.each(FORMATS)("reads %s", (format) => {
    const audio = parse(wavFile(SAMPLES, format, { sampleRate: 8_000 }));
    expect(audio).toMatchObject({ format, sampleRate: 8_000, channels: 1, frames: 3 });
    expect(mono(audio)).toEqual(SAMPLES);
  });

  it.each(FORMATS)("reads %s as WAVE_FORMAT_EXTENSIBLE", (format) => {
    const fields = { ...WAV_FORMATS[format], channels: 3, sampleRate: 48_000 };
    const data = encodeSamples([...SAMPLES, ...SAMPLES], format);
    const audio = parse(riff([chunk("fmt ", extensibleBody(fields)), chunk("data", data)]));
    expect(audio).toMatchObject({ format, sampleRate: 48_000, channels: 3, frames: 2 });
    expect(audio.data).toEqual(data);
  });

  const format = chunk("fmt ", formatBody());
  const data = chunk("data", encodeSamples(SAMPLES, "s16"));
  const oddList = chunk("LIST", bytes(1, 2, 3));
  it.each([
    ["data before fmt", [data, format]],
    ["chunks of odd length between them", [oddList, format, oddList, data]],
    ["chunks after them", [format, data, oddList, chunk("id3 ", bytes(0))]],
    ["an empty chunk first", [chunk("JUNK", bytes()), format, data]],
    ["a fmt chunk of 18 bytes", [chunk("fmt ", join(formatBody(), bytes(0, 0))), data]],
    ["rubbish of less than a chunk's header at the end", [format, data, bytes(1, 2, 3)]],
  ])("accepts %s", (_, chunks) => {
    expect(mono(parse(riff(chunks)))).toEqual(SAMPLES);
  });

  it("finds fmt and data among other chunks in any order", () => {
    const other = fc
      .tuple(fc.constantFrom("LIST", "fact", "JUNK", "bext", "Data", "fmt\0"), fc.uint8Array())
      .map(([id, body]) => chunk(id, body));
    const places = fc.array(other, { maxLength: 6 }).chain((others) =>
      fc.shuffledSubarray([format, data, ...others], {
        minLength: others.length + 2,
        maxLength: others.length + 2,
      }),
    );
    fc.assert(
      fc.property(places, (chunks) => {
        expect(mono(parse(riff(chunks)))).toEqual(SAMPLES);
      }),
    );
  });

  it("reads a file that stands within a larger buffer", () => {
    const file = wavFile(SAMPLES, "f64");
    const inside = join(bytes(9, 9, 9), file, bytes(9)).subarray(3, 3 + file.length);
    expect(mono(parse(inside))).toEqual(SAMPLES);
  });

  it("reads the last data chunk without its padding byte", () => {
    const file = riff([
      chunk("fmt ", formatBody(WAV_FORMATS.u8)),
      chunk("data", bytes(0, 128, 192)),
    ]);
    expect(mono(parse(file.subarray(0, -1)))).toEqual(SAMPLES);
  });

  it("ignores what the RIFF header says of the length", () => {
    expect(mono(parse(riff([format, data], { length: 7 })))).toEqual(SAMPLES);
    expect(mono(parse(riff([format, data], { length: 0xffff_ffff })))).toEqual(SAMPLES);
  });

  it.each([
    ["ffmpeg", 0xffff_ffff, 0xffff_ffff],
    ["arecord", 0x8000_0000, 0x8000_0024],
    ["sox", 0x7fff_ffff - 36, 0x7fff_ffff],
    ["an unfinished header", 0, 0],
  ])("reads to the end when %s does not know the length", (_, dataLength, length) => {
    const unknown = chunk("data", encodeSamples(SAMPLES, "s16"), dataLength);
    expect(mono(parse(riff([format, unknown], { length })))).toEqual(SAMPLES);
  });

  it("believes an empty data chunk in a file of known length", () => {
    expect(parse(riff([format, chunk("data", bytes()), oddList])).frames).toBe(0);
  });

  it("leaves out a frame that is not whole", () => {
    const stereo = chunk("fmt ", formatBody({ channels: 2 }));
    const audio = parse(riff([stereo, chunk("data", bytes(0, 64, 0, 64, 0, 64, 0))]));
    expect(audio.frames).toBe(1);
    expect(mono(audio)).toEqual([0.5]);
  });

  it.each([
    ["an empty body", bytes()],
    ["four bytes", new TextEncoder().encode("RIFF")],
    ["text", new TextEncoder().encode("this is no audio at all")],
    ["an AVI file", riff([format, data], { form: "AVI " })],
    ["an MP3 file", join(new TextEncoder().encode("ID3"), new Uint8Array(64))],
    ["a file without fmt", riff([data])],
    ["a file without data", riff([format])],
    ["a file without chunks", riff([])],
    ["a fmt chunk too short", riff([chunk("fmt ", formatBody().subarray(0, 14)), data])],
    ["a fmt chunk beyond the end", riff([data, chunk("fmt ", formatBody(), 40)])],
    ["an extensible fmt chunk too short", riff([chunk("fmt ", formatBody({ tag: 0xfffe })), data])],
    ["a file without channels", riff([chunk("fmt ", formatBody({ channels: 0 })), data])],
    ["a sample rate of 0", riff([chunk("fmt ", formatBody({ sampleRate: 0 })), data])],
    ["frames of another length", riff([chunk("fmt ", formatBody({ blockBytes: 4 })), data])],
    [
      "more channels than a frame has bytes",
      riff([chunk("fmt ", formatBody({ channels: 40_000, blockBytes: 80_000 & 0xffff })), data]),
    ],
    ["less data than declared", riff([format, chunk("data", bytes(1, 2), 4)])],
  ])("refuses %s as invalid", (_, file) => {
    expect(() => parse(file)).toThrow(refusal("invalid_input", "inputs"));
  });

  it("refuses a file that is cut off anywhere", () => {
    const file = wavFile(SAMPLES, "s32");
    for (let length = 0; length < file.length; length++) {
      expect(() => parse(file.subarray(0, length))).toThrow(refusal("invalid_input", "inputs"));
    }
    expect(() => parse(file.subarray(0, -5))).toThrow(/12 bytes, and 7 are there/);
  });

  it.each([
    [0x0002, 4, /Microsoft ADPCM/],
    [0x0006, 8, /A-law/],
    [0x0007, 8, /mu-law/],
    [0x0011, 4, /IMA ADPCM/],
    [0x0031, 0, /GSM 6.10/],
    [0x0050, 0, /MPEG/],
    [0x0055, 0, /MP3/],
    [0x0161, 16, /codec 0x0161/],
    [1, 12, /PCM of 12 bits/],
    [1, 64, /PCM of 64 bits/],
    [3, 16, /float of 16 bits/],
  ])("names what it does not read: tag %i of %i bits", (tag, bits, message) => {
    for (const body of [formatBody, extensibleBody]) {
      const read = () => parse(riff([chunk("fmt ", body({ tag, bits })), data]));
      expect(read).toThrow(refusal("unsupported_audio", "inputs"));
      expect(read).toThrow(message);
    }
  });

  it("refuses a sub-format that is no format tag", () => {
    const body = extensibleBody();
    body[39] = 0x72;
    expect(() => parse(riff([chunk("fmt ", body), data]))).toThrow(
      refusal("unsupported_audio", "inputs"),
    );
  });

  it.each(["RIFX", "RF64"])("refuses %s by name", (id) => {
    const file = riff([format, data], { id });
    expect(isRiff(file)).toBe(true);
    expect(() => parse(file)).toThrow(refusal("unsupported_audio", "inputs"));
    expect(() => parse(file)).toThrow(new RegExp(id));
  });

  it("names the field that the file stands in", () => {
    expect(() => parseWav(bytes(), "inputs[3]")).toThrow(refusal("invalid_input", "inputs[3]"));
  });

  it("throws nothing but refusals, whatever the bytes", () => {
    const chunks = fc.array(
      fc
        .tuple(
          fc.constantFrom("fmt ", "data", "LIST"),
          fc.oneof(
            fc.uint8Array({ maxLength: 64 }),
            fc.constantFrom(formatBody(), extensibleBody(), formatBody(WAV_FORMATS.f64)),
          ),
          fc.option(fc.oneof(fc.nat(80), fc.nat(0xffff_ffff)), { nil: undefined }),
        )
        .map(([id, body, declared]) => chunk(id, body, declared)),
      { maxLength: 5 },
    );
    const overwritten = fc
      .tuple(
        fc.constantFrom(...FORMATS.map((name) => wavFile(SAMPLES, name)), wavFile([0, 0, 0, 0])),
        fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 }),
      )
      .map(([file, changes]) => {
        const changed = file.slice();
        for (const [at, value] of changes) if (at < changed.length) changed[at] = value;
        return changed;
      });
    const file = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      chunks.map((parts) => riff(parts)),
      overwritten,
    );
    fc.assert(
      fc.property(file, (someBytes) => {
        expect(outcomeOf(someBytes)).toMatch(
          /^(?:read|(?:invalid_input|unsupported_audio) inputs)$/,
        );
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("monoSamples", () => {
  it.each([
    ["u8", [0, 1, 128, 255], [-1, -127 / 128, 0, 127 / 128]],
    ["s16", [0, 128, 255, 255, 255, 127], [-1, -1 / 32_768, 32_767 / 32_768]],
    ["s16be", [128, 0, 255, 255, 127, 255], [-1, -1 / 32_768, 32_767 / 32_768]],
    ["s24", [0, 0, 128, 255, 255, 255, 1, 2, 3], [-1, -1 / 8_388_608, 0x030201 / 8_388_608]],
    ["s32", [0, 0, 0, 128, 0, 0, 0, 64, 0, 0, 0, 192], [-1, 0.5, -0.5]],
    ["f32", [0, 0, 128, 63, 0, 0, 0, 192], [1, -2]],
    ["f64", [0, 0, 0, 0, 0, 0, 0xe0, 0xbf], [-0.5]],
  ] as const)("converts %s", (format, data, expected) => {
    expect(mono(pcmAudio(bytes(...data), format, 16_000, 1))).toEqual(expected);
  });

  it("mixes channels to their mean", () => {
    const two = encodeSamples([0.5, -0.5, 1 / 4, 1 / 2, -1, -1], "s16");
    expect(mono(pcmAudio(two, "s16", 16_000, 2))).toEqual([0, 0.375, -1]);
    const four = encodeSamples([1, 0, 0, 0, 0.5, 0.5, 0.5, 0.5], "f32");
    expect(mono(pcmAudio(four, "f32", 16_000, 4))).toEqual([0.25, 0.5]);
  });

  it("keeps every 16-bit sample exactly, and every float32", () => {
    fc.assert(
      fc.property(fc.int16Array(), (values) => {
        const audio = pcmAudio(new Uint8Array(values.buffer), "s16", 1, 1);
        expect(mono(audio)).toEqual(Array.from(values, (value) => value / 32_768));
      }),
    );
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true }), (values) => {
        const audio = pcmAudio(new Uint8Array(values.buffer), "f32", 1, 1);
        // A sum from zero on makes 0 of -0.
        expect(monoSamples(audio, "inputs")).toEqual(values.map((value) => value + 0));
      }),
    );
  });

  it.each([
    ["NaN", "f32", [0, Number.NaN]],
    ["infinity", "f32", [0, Number.NEGATIVE_INFINITY]],
    ["NaN", "f64", [0, Number.NaN]],
    ["more than float32 holds", "f64", [0, 1e300]],
  ] as const)("refuses %s in %s", (_, format, samples) => {
    const audio = parse(wavFile(samples, format));
    expect(() => mono(audio)).toThrow(refusal("invalid_input", "inputs"));
    expect(() => mono(audio)).toThrow(/at frame 1/);
  });

  it("converts no audio to no samples", () => {
    expect(mono(pcmAudio(bytes(), "s24", 16_000, 2))).toEqual([]);
  });
});
