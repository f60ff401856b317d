import { describe, expect, it } from "vitest";

import { AUDIO_MEDIA_TYPES, requestAudio } from "../../src/tasks/audio-input.ts";
import type { TaskRequest } from "../../src/tasks/task.ts";
import { monoSamples } from "../../src/tasks/wav.ts";
import { json, raw, refusal } from "./support.ts";
import { chunk, encodeSamples, formatBody, riff, wavFile } from "./wav-files.ts";

const SAMPLES = [-1, 0, 0.5];
const WAV = wavFile(SAMPLES);
const PCM_S16 = encodeSamples(SAMPLES, "s16");
const PCM_F32 = encodeSamples(SAMPLES, "f32");

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const samplesOf = (request: TaskRequest): number[] =>
  Array.from(monoSamples(requestAudio(request), "inputs"));
const l16 = (body: Uint8Array<ArrayBuffer>, mediaParameters: Record<string, string>) =>
  raw(body, "audio/l16", { mediaParameters });

describe("requestAudio", () => {
  it.each(AUDIO_MEDIA_TYPES.filter((type) => type !== "audio/l16"))(
    "takes a WAV file as %s",
    (mediaType) => {
      expect(samplesOf(raw(WAV, mediaType))).toEqual(SAMPLES);
    },
  );

  it.each([
    ["base64", base64(WAV)],
    ["a data URL", `data:audio/wav;base64,${base64(WAV)}`],
    ["base64 with line breaks", base64(WAV).replaceAll(/.{8}/g, "$&\r\n")],
    ["base64 without padding", base64(WAV).replaceAll("=", "")],
  ])("takes a WAV file in JSON as %s", (_, inputs) => {
    expect(samplesOf(json(inputs))).toEqual(SAMPLES);
  });

  it.each([
    ["pcm_s16le", PCM_S16],
    ["pcm_f32le", PCM_F32],
  ])("takes %s without a header, raw and in JSON", (encoding, bytes) => {
    const parameters = { encoding, sample_rate: 22_050 };
    for (const request of [
      raw(bytes, "application/octet-stream", { parameters }),
      json(base64(bytes), parameters),
    ]) {
      expect(requestAudio(request)).toMatchObject({ sampleRate: 22_050, channels: 1, frames: 3 });
      expect(samplesOf(request)).toEqual(SAMPLES);
    }
  });

  it("believes a WAV file's header, not the parameters", () => {
    const request = json(base64(WAV), { encoding: "pcm_f32le", sample_rate: 8_000 });
    expect(requestAudio(request)).toMatchObject({ sampleRate: 16_000, format: "s16" });
  });

  it("takes audio/l16 in network order", () => {
    const swapped = PCM_S16.slice();
    new Uint16Array(swapped.buffer).forEach((value, index, all) => {
      all[index] = ((value & 0xff) << 8) | (value >> 8);
    });
    expect(samplesOf(l16(swapped, { rate: "16000" }))).toEqual(SAMPLES);
    const stereo = l16(Uint8Array.of(64, 0, 0, 0), { rate: "8000", channels: "2" });
    expect(requestAudio(stereo)).toMatchObject({ sampleRate: 8_000, channels: 2, frames: 1 });
    expect(samplesOf(stereo)).toEqual([0.25]);
  });

  it.each([
    {},
    { rate: "" },
    { rate: "0" },
    { rate: "-16000" },
    { rate: "16000.5" },
    { rate: "16 kHz" },
    { rate: "1e4" },
    { rate: "1000001" },
    { rate: "9999999999" },
    { rate: "16000", channels: "0" },
    { rate: "16000", channels: "256" },
    { rate: "16000", channels: "stereo" },
  ])("refuses audio/l16 with %j", (mediaParameters) => {
    expect(() => requestAudio(l16(PCM_S16, mediaParameters))).toThrow(
      refusal("invalid_input", "content-type"),
    );
  });

  it.each([
    ["audio/l16", l16(PCM_S16.slice(1), { rate: "16000" })],
    ["stereo audio/l16", l16(PCM_S16, { rate: "16000", channels: "2" })],
    ["pcm_s16le", json(base64(PCM_S16.slice(1)), { encoding: "pcm_s16le", sample_rate: 8_000 })],
    ["pcm_f32le", json(base64(PCM_S16), { encoding: "pcm_f32le", sample_rate: 8_000 })],
  ])("refuses a part of a sample at the end of %s", (_, request) => {
    expect(() => requestAudio(request)).toThrow(refusal("invalid_input", "inputs"));
  });

  it.each(["pcm_s16be", "mp3", "", 16, true])("refuses the encoding %j", (encoding) => {
    const parameters = { encoding, sample_rate: 16_000 };
    expect(() => requestAudio(json(base64(PCM_S16), parameters))).toThrow(
      refusal("invalid_input", "parameters.encoding"),
    );
  });

  it.each([
    undefined,
    null,
    0,
    -1,
    8_000.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    1_000_001,
    "8000",
  ])("refuses the sample rate %j", (rate) => {
    const parameters = { encoding: "pcm_s16le", sample_rate: rate };
    expect(() => requestAudio(json(base64(PCM_S16), parameters))).toThrow(
      refusal("invalid_input", "parameters.sample_rate"),
    );
  });

  it.each([undefined, null, 16, true, [], {}, [base64(WAV)]])(
    "refuses %j instead of base64",
    (inputs) => {
      expect(() => requestAudio(json(inputs))).toThrow(refusal("invalid_input", "inputs"));
    },
  );

  it.each(["not base64!", "data:", "data:audio/wav;base64", "AAAAA", "日本"])(
    "refuses %j, which is not base64",
    (inputs) => {
      expect(() => requestAudio(json(inputs))).toThrow(refusal("invalid_input", "inputs"));
      expect(() => requestAudio(json(inputs))).toThrow(/is not base64/);
    },
  );

  it.each([
    ["empty", json("")],
    ["bytes without a header", json(base64(PCM_S16))],
    ["bytes whose encoding is null", json(base64(PCM_S16), { encoding: null })],
    ["raw bytes without a header", raw(PCM_S16, "application/octet-stream")],
  ])("asks what %s are", (_, request) => {
    expect(() => requestAudio(request)).toThrow(refusal("invalid_input", "inputs"));
    expect(() => requestAudio(request)).toThrow(/"encoding"/);
  });

  it("refuses samples that say that they are a WAV file", () => {
    expect(() => requestAudio(raw(PCM_S16, "audio/wav"))).toThrow(
      refusal("invalid_input", "inputs"),
    );
  });

  it.each(["RIFX", "RF64"])("takes an %s file for what it is, never for samples", (id) => {
    const file = riff([chunk("fmt ", formatBody()), chunk("data", PCM_S16)], { id });
    const parameters = { encoding: "pcm_s16le", sample_rate: 16_000 };
    for (const request of [
      raw(file, "audio/wav"),
      raw(file, "application/octet-stream"),
      raw(file, "application/octet-stream", { parameters }),
      json(base64(file)),
      json(base64(file), parameters),
    ]) {
      expect(() => requestAudio(request)).toThrow(refusal("unsupported_audio", "inputs"));
    }
  });
});
