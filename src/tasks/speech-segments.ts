/** Times in samples. */
export interface SegmentOptions {
  readonly stepSamples: number;
  /** From this probability on, speech starts. */
  readonly threshold: number;
  /** Below this probability, speech may end: lower than `threshold`, so that it does not flicker. */
  readonly endThreshold: number;
  /** Shorter speech is dropped. */
  readonly minSpeechSamples: number;
  /** Shorter silence does not end speech. */
  readonly minSilenceSamples: number;
  /** Added at both ends, as far as there is room. */
  readonly padSamples: number;
}

/** A stretch of speech, from `start` to before `end`, in samples. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  /** Mean probability of the steps, before padding. */
  readonly score: number;
}

/**
 * From the probability of each step to segments, as Silero's `get_speech_timestamps` does
 * (snakers4/silero-vad, src/silero_vad/utils_vad.py) when `max_speech_duration_s` is infinite.
 *
 * @param totalSamples of the audio, without the padding of the last step
 * @returns segments in order that do not overlap, within the audio
 */
export function speechSegments(
  probabilities: Float32Array,
  totalSamples: number,
  options: SegmentOptions,
): Segment[] {
  return padded(rawSegments(probabilities, totalSamples, options), totalSamples, options);
}

/**
 * How sure it is that somebody speaks in a recording at all: the highest mean probability of any stretch as long as
 * the shortest speech that counts, so that a click is no speech and a word in a minute of silence is. Of a shorter
 * recording it is the mean.
 */
export function speechScore(
  probabilities: Float32Array,
  { minSpeechSamples, stepSamples }: Pick<SegmentOptions, "minSpeechSamples" | "stepSamples">,
): number {
  const steps = Math.max(1, Math.ceil(minSpeechSamples / stepSamples));
  let best = 0;
  for (let from = 0; from === 0 || from + steps <= probabilities.length; from++) {
    best = Math.max(best, mean(probabilities.subarray(from, from + steps)));
  }
  return Math.min(1, best);
}

function rawSegments(
  probabilities: Float32Array,
  totalSamples: number,
  options: SegmentOptions,
): Segment[] {
  const { stepSamples, threshold, endThreshold, minSpeechSamples, minSilenceSamples } = options;
  const segments: Segment[] = [];
  /** First step of the speech that goes on; -1 in silence. */
  let first = -1;
  /** First step of the silence that may end it; -1 when there is none. */
  let silence = -1;
  const close = (afterLast: number, end: number): void => {
    const start = first * stepSamples;
    if (end - start > minSpeechSamples) {
      segments.push({ start, end, score: mean(probabilities.subarray(first, afterLast)) });
    }
    first = -1;
    silence = -1;
  };
  for (const [step, probability] of probabilities.entries()) {
    if (probability >= threshold) {
      silence = -1;
      if (first < 0) first = step;
    } else if (first >= 0 && probability < endThreshold) {
      if (silence < 0) silence = step;
      if ((step - silence) * stepSamples >= minSilenceSamples) {
        close(silence, silence * stepSamples);
      }
    }
  }
  if (first >= 0) close(probabilities.length, totalSamples);
  return segments;
}

/** Where two segments are closer than twice the padding, each gets half of what is between. */
function padded(
  segments: readonly Segment[],
  totalSamples: number,
  { padSamples }: SegmentOptions,
): Segment[] {
  return segments.map(({ start, end, score }, index) => {
    const before = segments[index - 1];
    const after = segments[index + 1];
    return {
      start:
        before === undefined
          ? Math.max(0, start - padSamples)
          : start - gapShare(before.end, start),
      end:
        after === undefined
          ? Math.min(totalSamples, end + padSamples)
          : end + gapShare(end, after.start),
      score,
    };
  });

  function gapShare(end: number, start: number): number {
    const gap = start - end;
    return gap < 2 * padSamples ? Math.floor(gap / 2) : padSamples;
  }
}

function mean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
