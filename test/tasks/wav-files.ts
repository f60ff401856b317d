/** Format tags and bits of a WAV file that holds each format. */
export const WAV_FORMATS = {
  u8: { tag: 1, bits: 8 },
  s16: { tag: 1, bits: 16 },
  s24: { tag: 1, bits: 24 },
  s32: { tag: 1, bits: 32 },
  f32: { tag: 3, bits: 32 },
  f64: { tag: 3, bits: 64 },
} as const;

export type WavFormatName = keyof typeof WAV_FORMATS;

/** A float sample as the bytes of a format, little-endian. */
export function encodeSamples(
  samples: readonly number[],
  format: WavFormatName,
): Uint8Array<ArrayBuffer> {
  const width = WAV_FORMATS[format].bits / 8;
  const view = new DataView(new ArrayBuffer(samples.length * width));
  for (const [index, sample] of samples.entries()) {
    const at = index * width;
    if (format === "u8") view.setUint8(at, sample * 128 + 128);
    if (format === "s16") view.setInt16(at, sample * 2 ** 15, true);
    if (format === "s24") {
      const value = sample * 2 ** 23;
      view.setUint16(at, value & 0xffff, true);
      view.setInt8(at + 2, value >> 16);
    }
    if (format === "s32") view.setInt32(at, sample * 2 ** 31, true);
    if (format === "f32") view.setFloat32(at, sample, true);
    if (format === "f64") view.setFloat64(at, sample, true);
  }
  return new Uint8Array(view.buffer);
}

export interface FormatFields {
  tag?: number;
  channels?: number;
  sampleRate?: number;
  bits?: number;
  /** Bytes per frame, when they are not what the rest says. */
  blockBytes?: number;
}

/** The body of a "fmt " chunk, 16 bytes. */
export function formatBody({
  tag = 1,
  channels = 1,
  sampleRate = 16_000,
  bits = 16,
  blockBytes = (channels * bits) / 8,
}: FormatFields = {}): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint16(0, tag, true);
  view.setUint16(2, channels, true);
  view.setUint32(4, sampleRate, true);
  view.setUint32(8, sampleRate * blockBytes, true);
  view.setUint16(12, blockBytes, true);
  view.setUint16(14, bits, true);
  return new Uint8Array(view.buffer);
}

const GUID_TAIL = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/** The body of a WAVE_FORMAT_EXTENSIBLE "fmt " chunk, 40 bytes: the tag moves into the sub-format. */
export function extensibleBody({ tag = 1, ...fields }: FormatFields = {}): Uint8Array<ArrayBuffer> {
  const bits = fields.bits ?? 16;
  return join(
    formatBody({ ...fields, tag: 0xfffe }),
    // Bytes that follow, valid bits, speakers, sub-format.
    [22, 0, bits, 0, 4, 0, 0, 0, tag & 0xff, tag >> 8, ...GUID_TAIL],
  );
}

/** A chunk, padded to an even length. */
export function chunk(
  id: string,
  body: Uint8Array,
  declared: number = body.length,
): Uint8Array<ArrayBuffer> {
  return join(ascii(id), uint32(declared), body, body.length % 2 === 0 ? [] : [0]);
}

export function riff(
  chunks: readonly Uint8Array[],
  { id = "RIFF", form = "WAVE", length = -1 } = {},
): Uint8Array<ArrayBuffer> {
  const body = join(ascii(form), ...chunks);
  return join(ascii(id), uint32(length < 0 ? body.length : length), body);
}

/** A file as most programs write it: "fmt ", then "data". */
export function wavFile(
  samples: readonly number[],
  format: WavFormatName = "s16",
  fields: FormatFields = {},
): Uint8Array<ArrayBuffer> {
  return riff([
    chunk("fmt ", formatBody({ ...WAV_FORMATS[format], ...fields })),
    chunk("data", encodeSamples(samples, format)),
  ]);
}

export function join(...parts: readonly ArrayLike<number>[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function uint32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}
