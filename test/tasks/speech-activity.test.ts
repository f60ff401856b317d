import { readFile } from "node:fs/promises";
import path from "node:path";

import { beforeAll, describe, expect, it } from "vitest";

import { build } from "../../models/vad/build.ts";
import vad from "../../models/vad/model.json";
import authors from "../../models/vad/samples/speech.json";
import { runtimeModule } from "../../src/publish/runtime.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { createSession } from "../../src/runtime/create-session.ts";
import { startOrt } from "../../src/runtime/ort-module.ts";
import type { OrtSession } from "../../src/runtime/session.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { runHere } from "../../src/tasks/drive.ts";
import { edgeLimits } from "../../src/tasks/limits.ts";
import { speechActivity } from "../../src/tasks/speech-activity.ts";
import type { TaskRequest, TensorRunner } from "../../src/tasks/task.ts";
import { fp32, json, raw, recordingRunner, refusal, taskManifest } from "./support.ts";
import { wavFile } from "./wav-files.ts";

const { sampleRate, stepSamples, contextSamples } = vad.task;
const manifest = taskManifest({ ...vad.task, type: "speech-activity" }, 1);
const recording = await readFile(path.join(ROOT, "models/vad/samples/speech.wav"));
const speech = raw(Uint8Array.from(recording), "audio/wav");

const decode = (request: TaskRequest) =>
  speechActivity.decode(request, manifest, edgeLimits(manifest));
const run = (runner: TensorRunner, request: TaskRequest) =>
  runHere(speechActivity.run(null, decode(request), manifest, edgeLimits(manifest)), runner);
const wav = (samples: readonly number[]) => raw(wavFile(samples, "f32"), "audio/wav");

/** Says what it is told to, one probability per step; its state counts the steps. */
const replay = (probabilities: readonly number[]) =>
  recordingRunner((_, step) => ({
    output: fp32([probabilities[step] ?? 0], [1, 1]),
    stateN: fp32(Array(256).fill(step + 1), [2, 1, 128]),
  }));

describe("speech activity, with the model", () => {
  const asOne = { ...speech, parameters: { task: "audio-classification" } };

  let session: OrtSession;
  beforeAll(async () => {
    const { onnx } = await build();
    session = createSession(await startOrt(await runtimeModule()), { graph: onnx });
  });

  it("hears in the recording what the authors' package hears", () => {
    const { output, units } = run(session, {
      ...speech,
      parameters: { return_probabilities: true },
    });
    const { segments, probabilities, step_seconds } = output as {
      segments: { label: string; score: number; start: number; end: number }[];
      probabilities: number[];
      step_seconds: number;
    };
    expect(segments.map(({ start, end }) => ({ start, end }))).toEqual(
      authors.segments.map(({ start, end }) => ({
        start: start / sampleRate,
        end: end / sampleRate,
      })),
    );
    expect(new Set(segments.map(({ label }) => label))).toEqual(new Set(["speech"]));
    expect(probabilities).toHaveLength(authors.probabilities.length);
    const differences = probabilities.map((probability, step) =>
      Math.abs(probability - (authors.probabilities[step] ?? Number.NaN)),
    );
    expect(Math.max(...differences)).toBeLessThan(1e-4);
    expect(step_seconds).toBe(0.032);
    expect(units).toEqual({ items: 1, samples: (recording.length - 44) / 2 });
  });

  it("remembers nothing of the request before", () => {
    const first = run(session, speech);
    run(session, wav(Array(2_000).fill(0.5)));
    expect(run(session, speech)).toEqual(first);
  });

  it("is sure that somebody speaks in the recording", () => {
    const [first] = run(session, asOne).output as { label: string; score: number }[];
    expect(first?.label).toBe("speech");
    expect(first?.score).toBeGreaterThan(0.95);
  });

  it("hears nobody in silence", () => {
    const silence = wav(Array(16_000).fill(0));
    expect(run(session, silence).output).toEqual([]);
    const classified = run(session, { ...silence, parameters: asOne.parameters }).output;
    expect(classified).toMatchObject([{ label: "no speech" }, { label: "speech" }]);
  });
});

describe("speech activity: run", () => {
  it("gives each step the end of the one before, and silence around the audio", () => {
    const samples = Array.from({ length: 1_300 }, (_, index) => index + 1);
    const runner = replay([0, 0, 0]);
    run(runner, wav(samples));
    const heard = runner.runs.map(({ input }) => input);
    expect(heard.map((input) => input?.shape)).toEqual([
      [1, 576],
      [1, 576],
      [1, 576],
    ]);
    const padded = [...Array(contextSamples).fill(0), ...samples, ...Array(236).fill(0)];
    expect(heard.map((input) => Array.from(input?.data as Float32Array))).toEqual(
      [0, 1, 2].map((step) =>
        padded.slice(step * stepSamples, step * stepSamples + contextSamples + stepSamples),
      ),
    );
  });

  it("carries the state from step to step, and tells the rate", () => {
    const runner = replay([0, 0, 0]);
    run(runner, wav(Array(3 * stepSamples).fill(0)));
    expect(runner.runs.map(({ state }) => state)).toEqual(
      [0, 1, 2].map((step) => fp32(Array(256).fill(step), [2, 1, 128])),
    );
    const rate: Tensor = { datatype: "INT64", shape: [], data: BigInt64Array.of(16_000n) };
    expect(runner.runs.map(({ sr }) => sr)).toEqual([rate, rate, rate]);
  });

  it.each([
    [1, 1],
    [512, 1],
    [513, 2],
    [1_024, 2],
  ])("hears %i samples in %i steps", (samples, steps) => {
    const runner = replay([]);
    expect(run(runner, wav(Array(samples).fill(0))).units).toEqual({ items: 1, samples });
    expect(runner.runs).toHaveLength(steps);
  });

  it("answers segments in seconds, or an object when it is asked for the probabilities", () => {
    const probabilities = [0, 0.75, 0.75, 0, 0, 0];
    const parameters = { min_speech_duration_ms: 0, min_silence_duration_ms: 0, speech_pad_ms: 0 };
    const request = { ...wav(Array(6 * stepSamples).fill(0)), parameters };
    const segments = [{ label: "speech", score: 0.75, start: 0.032, end: 0.096 }];
    expect(run(replay(probabilities), request).output).toEqual(segments);
    const asked = { ...request, parameters: { ...parameters, return_probabilities: true } };
    expect(run(replay(probabilities), asked).output).toEqual({
      segments,
      probabilities,
      step_seconds: 0.032,
    });
  });

  it("says of the whole recording whether somebody speaks, best first", () => {
    const audio = wav(Array(20 * stepSamples).fill(0));
    const request = { ...audio, parameters: { task: "audio-classification" } };
    const speaking = [...Array<number>(8).fill(0), ...Array<number>(8).fill(0.75), 0, 0, 0, 0];
    const { output, comparable } = run(replay(speaking), request);
    expect(output).toEqual([
      { label: "speech", score: 0.75 },
      { label: "no speech", score: 0.25 },
    ]);
    expect(comparable).toEqual(run(replay(speaking), audio).output);
    expect(run(replay([0, 1]), request).output).toEqual([
      { label: "no speech", score: 0.875 },
      { label: "speech", score: 0.125 },
    ]);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    "does not answer with the probability %d",
    (p) => {
      expect(() => run(replay([0.5, p]), wav(Array(1_024).fill(0)))).toThrow(
        refusal("inference_failed", "inputs"),
      );
    },
  );

  it.each([
    ["a missing state", { output: fp32([0.5], [1, 1]) }],
    ["a state of another size", { output: fp32([0.5], [1, 1]), stateN: fp32([1], [1]) }],
    [
      "two probabilities",
      { output: fp32([0, 1], [2, 1]), stateN: fp32(Array(256).fill(0), [256]) },
    ],
  ])("does not trust %s", (_, outputs) => {
    expect(() => run({ run: () => outputs }, wav([0]))).toThrow(refusal("internal", undefined));
  });
});

describe("speech activity: decode", () => {
  it("has Silero's defaults", () => {
    expect(decode(speech).segments).toEqual({
      stepSamples: 512,
      threshold: 0.5,
      endThreshold: 0.35,
      minSpeechSamples: 4_000,
      minSilenceSamples: 1_600,
      padSamples: 480,
    });
  });

  it("takes the parameters of the request, durations as whole samples", () => {
    const parameters = {
      threshold: 0.75,
      min_speech_duration_ms: 0.1,
      min_silence_duration_ms: 3_600_000,
      speech_pad_ms: 0,
    };
    expect(decode({ ...speech, parameters }).segments).toMatchObject({
      threshold: 0.75,
      endThreshold: 0.6,
      minSpeechSamples: 2,
      minSilenceSamples: 57_600_000,
      padSamples: 0,
    });
  });

  it("keeps the end threshold above nothing", () => {
    const parameters = { threshold: 0.01 };
    expect(decode({ ...speech, parameters }).segments.endThreshold).toBe(0.01);
  });

  it("mixes the channels", () => {
    const stereo = raw(wavFile([0.5, 0.25, -1, 0.5], "s16", { channels: 2 }), "audio/wav");
    expect(Array.from(decode(stereo).samples)).toEqual([0.375, -0.25]);
  });

  it.each([
    ["threshold", 0],
    ["threshold", 1.01],
    ["threshold", "0.5"],
    ["min_speech_duration_ms", -1],
    ["min_silence_duration_ms", 3_600_001],
    ["speech_pad_ms", Number.NaN],
    ["speech_pad_ms", true],
    ["return_probabilities", 1],
    ["return_probabilities", "yes"],
  ])("refuses %s of %j", (name, value) => {
    expect(() => decode({ ...speech, parameters: { [name]: value } })).toThrow(
      refusal("invalid_input", `parameters.${name}`),
    );
  });

  it.each([8_000, 44_100, 48_000])("asks for another rate than %i Hz", (rate) => {
    const request = raw(wavFile([0], "s16", { sampleRate: rate }), "audio/wav");
    expect(() => decode(request)).toThrow(refusal("unsupported_audio", "inputs"));
    expect(() => decode(request)).toThrow(/resample it to 16000/);
  });

  it("refuses a file without audio", () => {
    expect(() => decode(wav([]))).toThrow(refusal("invalid_input", "inputs"));
    expect(() => decode(json(""))).toThrow(refusal("invalid_input", "inputs"));
  });

  it("refuses samples that are no numbers", () => {
    expect(() => decode(wav([0, Number.NaN]))).toThrow(refusal("invalid_input", "inputs"));
  });

  it("takes a minute, and not a sample more", () => {
    const minute = new Uint8Array(2 * 60 * sampleRate);
    const parameters = { encoding: "pcm_s16le", sample_rate: sampleRate };
    const request = raw(minute, "application/octet-stream", { parameters });
    expect(decode(request).samples).toHaveLength(960_000);
    const longer = raw(new Uint8Array(minute.length + 2), "application/octet-stream", {
      parameters,
    });
    expect(() => decode(longer)).toThrow(refusal("input_too_long", "inputs"));
  });
});
