import { NearsideError } from "../errors.ts";
import { invalidInput } from "./inputs.ts";

/** How samples are written: little-endian but for `s16be`; integers are signed but for `u8`. */
export type SampleFormat = "u8" | "s16" | "s16be" | "s24" | "s32" | "f32" | "f64";

const SAMPLE_BYTES: { readonly [F in SampleFormat]: number } = {
  u8: 1,
  s16: 2,
  s16be: 2,
  s24: 3,
  s32: 4,
  f32: 4,
  f64: 8,
};

/** Samples in memory that are described, and not yet converted. */
export interface PcmAudio {
  readonly sampleRate: number;
  readonly channels: number;
  readonly format: SampleFormat;
  /** Samples per channel. */
  readonly frames: number;
  /** `frames` times `channels` samples, interleaved, and perhaps the start of one more frame. */
  readonly data: Uint8Array;
}

/** Describes bytes as samples. */
export function pcmAudio(
  data: Uint8Array,
  format: SampleFormat,
  sampleRate: number,
  channels: number,
): PcmAudio {
  const frames = Math.floor(data.length / (SAMPLE_BYTES[format] * channels));
  return { sampleRate, channels, format, frames, data };
}

const PCM = 0x0001;
const IEEE_FLOAT = 0x0003;
const EXTENSIBLE = 0xfffe;

const CODEC_NAMES: Readonly<Record<number, string>> = {
  0x0002: "Microsoft ADPCM",
  0x0006: "A-law",
  0x0007: "mu-law",
  0x0011: "IMA ADPCM",
  0x0031: "GSM 6.10",
  0x0050: "MPEG",
  0x0055: "MP3",
};

/** The end of the sub-format GUIDs that stand for format tags: xxxxxxxx-0000-0010-8000-00aa00389b71. */
const SUBFORMAT_TAIL = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/**
 * Programs that write to a pipe can't know the length: ffmpeg says 0xFFFFFFFF, arecord 0x80000000, sox
 * 0x7FFFFFFF less its header. Such data reaches to the end of the body.
 */
const MIN_UNKNOWN_LENGTH = 0x7fff_0000;

/** Whether bytes are a WAV file rather than samples; `parseWav` says which of those are refused. */
export function isRiff(bytes: Uint8Array): boolean {
  return hasId(bytes, 0, "RIFF") || isOtherRiff(bytes);
}

/** Big-endian, and with 64-bit lengths. */
function isOtherRiff(bytes: Uint8Array): boolean {
  return hasId(bytes, 0, "RIFX") || hasId(bytes, 0, "RF64");
}

/**
 * Reads the header of a WAV file: RIFF chunks in any order, PCM of 8, 16, 24 and 32 bits, IEEE float of
 * 32 and 64 bits, plain or WAVE_FORMAT_EXTENSIBLE.
 * Source: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0"; mmreg.h.
 *
 * @param field where the file stands in the request
 * @throws NearsideError `invalid_input` (not a WAV, or damaged), `unsupported_audio` (another codec)
 */
export function parseWav(bytes: Uint8Array, field: string): PcmAudio {
  if (isOtherRiff(bytes)) {
    throw unsupportedAudio("RIFX and RF64 files are not supported; send a RIFF WAV file", field);
  }
  if (!isRiff(bytes) || !hasId(bytes, 8, "WAVE")) {
    throw invalidInput(field, "is not a WAV file: it does not start with a RIFF WAVE header");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const riffLength = view.getUint32(4, true);
  let format: WavFormat | undefined;
  let data: Uint8Array | undefined;
  for (let at = 12; at + 8 <= bytes.length && (format === undefined || data === undefined);) {
    const start = at + 8;
    const length = view.getUint32(at + 4, true);
    const rest = bytes.length - start;
    if (hasId(bytes, at, "fmt ")) {
      if (length < 16 || length > rest) throw invalidInput(field, 'has a damaged "fmt " chunk');
      format = parseFormat(new DataView(view.buffer, view.byteOffset + start, length), field);
    } else if (hasId(bytes, at, "data")) {
      const unknown = length >= MIN_UNKNOWN_LENGTH || (length === 0 && riffLength === 0);
      if (!unknown && length > rest) {
        throw invalidInput(
          field,
          `is cut off: its data should have ${length} bytes, and ${rest} are there`,
        );
      }
      data = bytes.subarray(start, unknown ? bytes.length : start + length);
    }
    // Chunks start at even offsets.
    at = start + length + (length & 1);
  }
  if (format === undefined) throw invalidInput(field, 'has no "fmt " chunk');
  if (data === undefined) throw invalidInput(field, 'has no "data" chunk');
  return pcmAudio(data, format.format, format.sampleRate, format.channels);
}

interface WavFormat {
  readonly format: SampleFormat;
  readonly sampleRate: number;
  readonly channels: number;
}

function parseFormat(chunk: DataView, field: string): WavFormat {
  const channels = chunk.getUint16(2, true);
  const sampleRate = chunk.getUint32(4, true);
  const blockBytes = chunk.getUint16(12, true);
  const bits = chunk.getUint16(14, true);
  if (channels === 0) throw invalidInput(field, "says that it has no channels");
  if (sampleRate === 0) throw invalidInput(field, "says that its sample rate is 0");
  const format = sampleFormat(formatTag(chunk, field), bits, field);
  if (blockBytes !== SAMPLE_BYTES[format] * channels) {
    throw invalidInput(
      field,
      `contradicts itself: ${channels} channels of ${bits} bits are not ${blockBytes} bytes`,
    );
  }
  return { format, sampleRate, channels };
}

function formatTag(chunk: DataView, field: string): number {
  const tag = chunk.getUint16(0, true);
  if (tag !== EXTENSIBLE) return tag;
  if (chunk.byteLength < 40) throw invalidInput(field, 'has a damaged "fmt " chunk');
  if (SUBFORMAT_TAIL.some((byte, index) => chunk.getUint8(26 + index) !== byte)) {
    throw unsupportedAudio("The WAV file's codec is not known here; send PCM", field);
  }
  return chunk.getUint16(24, true);
}

function sampleFormat(tag: number, bits: number, field: string): SampleFormat {
  if (tag === PCM) {
    if (bits === 8) return "u8";
    if (bits === 16) return "s16";
    if (bits === 24) return "s24";
    if (bits === 32) return "s32";
  } else if (tag === IEEE_FLOAT) {
    if (bits === 32) return "f32";
    if (bits === 64) return "f64";
  } else {
    const name = CODEC_NAMES[tag] ?? `codec 0x${tag.toString(16).padStart(4, "0")}`;
    throw unsupportedAudio(`The WAV file holds ${name}; send PCM`, field);
  }
  const kind = tag === PCM ? "PCM" : "float";
  throw unsupportedAudio(
    `The WAV file holds ${kind} of ${bits} bits; send PCM of 8, 16, 24 or 32 bits, or float of 32 or 64`,
    field,
  );
}

/**
 * Converts samples to floats, integers to [-1, 1), and mixes the channels: their mean.
 *
 * @returns one sample per frame
 * @throws NearsideError `invalid_input` when a sample is NaN or infinite
 */
export function monoSamples(audio: PcmAudio, field: string): Float32Array {
  const { channels, format, frames, data } = audio;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const samples = new Float32Array(frames);
  READERS[format](view, samples, channels);
  if (format === "f32" || format === "f64") {
    const index = samples.findIndex((sample) => !Number.isFinite(sample));
    if (index >= 0) throw invalidInput(field, `has a sample that is no number, at frame ${index}`);
  }
  return samples;
}

/** Adds the channels of each frame of `view` into `samples`, and scales the sum to a mean in [-1, 1). */
type Reader = (view: DataView, samples: Float32Array, channels: number) => void;

// One loop per format, so that each has one kind of read, which V8 turns into one instruction.
const READERS: { readonly [F in SampleFormat]: Reader } = {
  u8: (view, samples, channels) => mix(samples, channels, 1, 128, (at) => view.getUint8(at) - 128),
  s16: (view, samples, channels) =>
    mix(samples, channels, 2, 32_768, (at) => view.getInt16(at, true)),
  s16be: (view, samples, channels) =>
    mix(samples, channels, 2, 32_768, (at) => view.getInt16(at, false)),
  s24: (view, samples, channels) =>
    mix(
      samples,
      channels,
      3,
      8_388_608,
      (at) => (view.getInt8(at + 2) << 16) | view.getUint16(at, true),
    ),
  s32: (view, samples, channels) =>
    mix(samples, channels, 4, 2_147_483_648, (at) => view.getInt32(at, true)),
  f32: (view, samples, channels) => mix(samples, channels, 4, 1, (at) => view.getFloat32(at, true)),
  f64: (view, samples, channels) => mix(samples, channels, 8, 1, (at) => view.getFloat64(at, true)),
};

function mix(
  samples: Float32Array,
  channels: number,
  sampleBytes: number,
  full: number,
  read: (at: number) => number,
): void {
  const scale = 1 / (full * channels);
  let at = 0;
  for (let frame = 0; frame < samples.length; frame++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) {
      sum += read(at);
      at += sampleBytes;
    }
    samples[frame] = sum * scale;
  }
}

export function unsupportedAudio(problem: string, field: string): NearsideError {
  return new NearsideError("unsupported_audio", `${problem}.`, { field });
}

function hasId(bytes: Uint8Array, at: number, id: string): boolean {
  return (
    bytes[at] === id.charCodeAt(0) &&
    bytes[at + 1] === id.charCodeAt(1) &&
    bytes[at + 2] === id.charCodeAt(2) &&
    bytes[at + 3] === id.charCodeAt(3)
  );
}
