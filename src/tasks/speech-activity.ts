import { NearsideError } from "../errors.ts";
import type { Tensor } from "../runtime/tensor.ts";
import { AUDIO_MEDIA_TYPES, requestAudio } from "./audio-input.ts";
import { invalidInput } from "./inputs.ts";
import { type LabelScore, notANumber, output } from "./outputs.ts";
import { booleanParameter, numberParameter, type Parameters, taskParameter } from "./parameters.ts";
import { type SegmentOptions, speechScore, speechSegments } from "./speech-segments.ts";
import type { ManifestOf, Task, TensorRun, Units } from "./task.ts";
import { monoSamples, type PcmAudio, unsupportedAudio } from "./wav.ts";

/** Longer than any audio that is taken. */
const MAX_DURATION_MILLISECONDS = 3_600_000;

/** How far the probability must fall below the threshold for speech to end, as Silero has it. */
const HYSTERESIS = 0.15;
const MIN_THRESHOLD = 0.01;

/** Shape of the recurrent state: layers, batch, units. */
const STATE_SHAPE = [2, 1, 128];
const STATE_ELEMENTS = 256;

export interface SpeechInput {
  /** One channel at the model's rate. */
  readonly samples: Float32Array;
  readonly segments: SegmentOptions;
  readonly returnProbabilities: boolean;
  /** The whole recording is classified; no segments are answered. */
  readonly asOne: boolean;
}

/**
 * When somebody speaks: Hugging Face's `voice-activity-detection`, and its `audio-classification`, which says
 * whether anybody speaks at all.
 *
 * Graph (Silero VAD): `input` FP32 [1, context + step], `state` FP32 [2, 1, 128], `sr` INT64 [] ->
 * `output` FP32 [1, 1], `stateN` FP32 [2, 1, 128]. Output: `[{label: "speech", score, start, end}]` in
 * seconds; with `return_probabilities` an object of `segments`, `probabilities` and `step_seconds`. For
 * `audio-classification` `[{label, score}]` of `speech` and `no speech`, best first, as `speechScore` has it.
 * Units: `items`, and `samples` of the audio.
 */
export const speechActivity: Task<"speech-activity", SpeechInput, null> = {
  mediaTypes: AUDIO_MEDIA_TYPES,

  decode(request, manifest) {
    const segments = segmentOptions(request.parameters, manifest);
    const returnProbabilities = booleanParameter(request.parameters, "return_probabilities", false);
    const audio = requestAudio(request);
    checkAudio(audio, manifest);
    return {
      samples: monoSamples(audio, "inputs"),
      segments,
      returnProbabilities,
      asOne: taskParameter(request.parameters) === "audio-classification",
    };
  },

  estimate: unitsOf,

  prepare: () => null,

  *run(_resources, input, manifest) {
    const { sampleRate, stepSamples } = manifest.task;
    const { samples, returnProbabilities, asOne } = input;
    const probabilities = yield* speechProbabilities(samples, manifest);
    const segments = speechSegments(probabilities, samples.length, input.segments).map(
      ({ score, start, end }) => ({
        label: "speech",
        score,
        start: start / sampleRate,
        end: end / sampleRate,
      }),
    );
    if (asOne) {
      return {
        output: classified(speechScore(probabilities, input.segments)),
        units: unitsOf(input),
        comparable: segments,
      };
    }
    return {
      output: returnProbabilities
        ? {
            segments,
            probabilities: Array.from(probabilities),
            step_seconds: stepSamples / sampleRate,
          }
        : segments,
      units: unitsOf(input),
    };
  },
};

/** Somebody speaks or nobody does: the scores add up to 1. */
function classified(speech: number): LabelScore[] {
  const scores = [
    { label: "speech", score: speech },
    { label: "no speech", score: 1 - speech },
  ];
  return scores.toSorted((a, b) => b.score - a.score);
}

function unitsOf({ samples }: SpeechInput): Units {
  return { items: 1, samples: samples.length };
}

function checkAudio(
  { sampleRate, frames }: PcmAudio,
  { task }: ManifestOf<"speech-activity">,
): void {
  if (sampleRate !== task.sampleRate) {
    throw unsupportedAudio(
      `The audio has ${sampleRate} samples per second; resample it to ${task.sampleRate}`,
      "inputs",
    );
  }
  if (frames === 0) throw invalidInput("inputs", "holds no audio");
  if (frames > task.maxSeconds * sampleRate) {
    throw new NearsideError(
      "input_too_long",
      `The audio is ${(frames / sampleRate).toFixed(1)} seconds long; ${task.maxSeconds} is the limit.`,
      { field: "inputs" },
    );
  }
}

function segmentOptions(
  parameters: Parameters,
  { task }: ManifestOf<"speech-activity">,
): SegmentOptions {
  const threshold = numberParameter(parameters, "threshold", {
    fallback: 0.5,
    minimum: MIN_THRESHOLD,
    maximum: 1,
  });
  const samples = (name: string, fallback: number): number => {
    const range = { fallback, minimum: 0, maximum: MAX_DURATION_MILLISECONDS };
    return Math.round((numberParameter(parameters, name, range) * task.sampleRate) / 1000);
  };
  return {
    stepSamples: task.stepSamples,
    threshold,
    endThreshold: Math.max(threshold - HYSTERESIS, MIN_THRESHOLD),
    minSpeechSamples: samples("min_speech_duration_ms", 250),
    minSilenceSamples: samples("min_silence_duration_ms", 100),
    padSamples: samples("speech_pad_ms", 30),
  };
}

/** The model hears each step after the last samples of the step before; before the first is silence. */
function* speechProbabilities(
  samples: Float32Array,
  { task }: ManifestOf<"speech-activity">,
): TensorRun<Float32Array> {
  const { contextSamples, stepSamples, sampleRate } = task;
  const steps = Math.ceil(samples.length / stepSamples);
  const heard = new Float32Array(contextSamples + steps * stepSamples);
  heard.set(samples, contextSamples);
  const probabilities = new Float32Array(steps);
  const shape = [1, contextSamples + stepSamples];
  const rate: Tensor = { datatype: "INT64", shape: [], data: BigInt64Array.of(BigInt(sampleRate)) };
  let state: Float32Array = new Float32Array(STATE_ELEMENTS);
  for (let step = 0; step < steps; step++) {
    const start = step * stepSamples;
    const data = heard.subarray(start, start + contextSamples + stepSamples);
    const outputs = yield {
      feeds: {
        input: { datatype: "FP32", shape, data },
        state: { datatype: "FP32", shape: STATE_SHAPE, data: state },
        sr: rate,
      },
    };
    const probability = output(outputs, "output", "FP32", 1)[0] ?? Number.NaN;
    if (!Number.isFinite(probability)) throw notANumber();
    probabilities[step] = probability;
    state = output(outputs, "stateN", "FP32", STATE_ELEMENTS);
  }
  return probabilities;
}
