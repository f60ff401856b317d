import { readFile } from "node:fs/promises";
import path from "node:path";

import { ROOT } from "../../../publish/workspace.ts";
import { type Check, hold, rounded } from "../check.ts";
import { type Edge, predict } from "./edge-client.ts";

interface Segment {
  readonly label: string;
  readonly score: number;
  readonly start: number;
  readonly end: number;
}

const SAMPLE_RATE = 16_000;
const SECONDS = 4;

/** vad on synthesised speech (models/vad/samples/speech.wav), on silence and on three kinds of noise. */
export const speech: Check<Edge> = {
  claim: "vad fires on speech and stays quiet on silence and noise",
  async run(edge) {
    const recording = new Uint8Array(
      await readFile(path.join(ROOT, "models/vad/samples/speech.wav")),
    );
    const segments = await predict<Segment[]>(edge, "vad", recording, "audio/wav");
    const spoken = segments.reduce((sum, { start, end }) => sum + end - start, 0);
    const whole = recording.length / 2 / SAMPLE_RATE;
    hold(spoken > 1, `only ${spoken} s of ${whole} s are heard as speech`);
    hold((segments[0]?.start ?? 0) > 0.2, "the silence before the speech is heard as speech");

    const quiet: Record<string, (sample: number) => number> = {
      silence: () => 0,
      "white noise": () => 0.1 * random(),
      hum: (sample) => 0.2 * Math.sin((2 * Math.PI * 50 * sample) / SAMPLE_RATE),
      clicks: (sample) => (sample % 4000 < 8 ? 0.5 : 0),
    };
    for (const [name, signal] of Object.entries(quiet)) {
      const samples = Int16Array.from(
        { length: SAMPLE_RATE * SECONDS },
        (_, sample) => 32_767 * signal(sample),
      );
      const heard = await predict<Segment[]>(
        edge,
        "vad",
        new Uint8Array(samples.buffer),
        "application/octet-stream",
        `?encoding=pcm_s16le&sample_rate=${SAMPLE_RATE}`,
      );
      hold(heard.length === 0, `${name} is heard as speech: ${JSON.stringify(heard)}`);
    }
    return { speechSegments: segments.length, speechSeconds: rounded(spoken, 2) };
  },
};

/** Uniform in [-1, 1), the same every time (mulberry32). */
let state = 1;
function random(): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 31 - 1;
}
