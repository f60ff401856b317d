import { NearsideError } from "../errors.ts";
import { invalidInput, kindOf } from "./inputs.ts";
import { invalidParameter, numberParameter, type Parameters } from "./parameters.ts";
import type { TaskRequest } from "./task.ts";
import { isRiff, parseWav, type PcmAudio, pcmAudio } from "./wav.ts";

export const AUDIO_MEDIA_TYPES = [
  "audio/wav",
  "audio/x-wav",
  "audio/wave",
  "audio/vnd.wave",
  "audio/l16",
  "application/octet-stream",
] as const;

/** Above any rate that audio is recorded with. */
const MAX_SAMPLE_RATE_HERTZ = 1_000_000;
const MAX_CHANNELS = 255;

/**
 * The audio of a request: a WAV file, as it is or in base64 as `inputs`; `audio/l16`; or bytes without a
 * header that `encoding` (`pcm_s16le`, `pcm_f32le`) and `sample_rate` describe.
 *
 * @throws NearsideError `invalid_input`, `unsupported_audio`
 */
export function requestAudio(request: TaskRequest): PcmAudio {
  if (request.kind === "json") {
    return sniffedAudio(base64Bytes(request.inputs), request.parameters);
  }
  if (request.mediaType === "audio/l16") return linear16(request.bytes, request.mediaParameters);
  if (request.mediaType === "application/octet-stream") {
    return sniffedAudio(request.bytes, request.parameters);
  }
  return parseWav(request.bytes, "inputs");
}

function sniffedAudio(bytes: Uint8Array, parameters: Parameters): PcmAudio {
  if (isRiff(bytes)) return parseWav(bytes, "inputs");
  const encoding = parameters["encoding"] ?? undefined;
  if (encoding === undefined) {
    throw invalidInput(
      "inputs",
      'is not a WAV file; send one, or say "encoding" (pcm_s16le or pcm_f32le) and "sample_rate"',
    );
  }
  if (encoding !== "pcm_s16le" && encoding !== "pcm_f32le") {
    throw invalidParameter("encoding", "must be pcm_s16le or pcm_f32le");
  }
  const sampleRate = numberParameter(parameters, "sample_rate", {
    fallback: Number.NaN,
    minimum: 1,
    maximum: MAX_SAMPLE_RATE_HERTZ,
    integer: true,
  });
  const sampleBytes = encoding === "pcm_s16le" ? 2 : 4;
  checkWhole(bytes, sampleBytes);
  return pcmAudio(bytes, encoding === "pcm_s16le" ? "s16" : "f32", sampleRate, 1);
}

/** RFC 2586, RFC 3551 §4.5.11: 16 bits, signed, in network order; `rate` is required, `channels` is 1. */
function linear16(bytes: Uint8Array, parameters: Readonly<Record<string, string>>): PcmAudio {
  const sampleRate = wholeNumber(parameters["rate"], MAX_SAMPLE_RATE_HERTZ);
  const channels = wholeNumber(parameters["channels"] ?? "1", MAX_CHANNELS);
  if (sampleRate === undefined || channels === undefined) {
    throw new NearsideError(
      "invalid_input",
      "The content type must name the sample rate, and the channels if there are several: audio/l16; rate=16000; channels=1.",
      { field: "content-type" },
    );
  }
  checkWhole(bytes, 2 * channels);
  return pcmAudio(bytes, "s16be", sampleRate, channels);
}

function wholeNumber(text: string | undefined, maximum: number): number | undefined {
  if (text === undefined || !/^\d{1,9}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= 1 && value <= maximum ? value : undefined;
}

/** A part of a sample at the end says that the bytes are not what they are said to be, or are cut off. */
function checkWhole(bytes: Uint8Array, frameBytes: number): void {
  if (bytes.length % frameBytes === 0) return;
  throw invalidInput(
    "inputs",
    `has ${bytes.length} bytes, which is no multiple of the ${frameBytes} bytes per sample`,
  );
}

/** @throws NearsideError `invalid_input` */
function base64Bytes(inputs: unknown): Uint8Array {
  if (typeof inputs !== "string") {
    throw invalidInput("inputs", `must be a WAV file in base64, not ${kindOf(inputs)}`);
  }
  const comma = inputs.startsWith("data:") ? inputs.indexOf(",") : -1;
  let binary: string;
  try {
    binary = atob(comma < 0 ? inputs : inputs.slice(comma + 1));
  } catch {
    throw invalidInput("inputs", "is not base64; send a WAV file in base64");
  }
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
