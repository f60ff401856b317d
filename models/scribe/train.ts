import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";

import { VOCABULARY } from "./alphabet.ts";
import { doublePrecision } from "./algebra.ts";
import { readCorpus } from "./corpus.ts";
import { Network } from "./network.ts";
import { simdAlgebra } from "./simd.ts";
import { splitDocuments } from "./split.ts";
import { bitsPerCharacter, Trainer, type TrainingOptions } from "./trainer.ts";
import { packWeights, unpackWeights } from "./weights.ts";

const OPTIONS: TrainingOptions = {
  shape: { vocabulary: VOCABULARY, embedding: 32, units: 192 },
  window: { batch: 8, length: 64 },
  steps: 10_000,
  learningRate: 3e-3,
  seed: 42,
};
const MEMORY_BYTES = 64 * 2 ** 20;
const REPORT_STEPS = 100;
const EVALUATION_STEPS = 1000;

/** Writes weights.bin and weights.json to a folder: the same bytes every time for the same packages. */
export async function trainScribe(folder: string, options = OPTIONS): Promise<void> {
  const { shape, window, steps, seed } = options;
  const corpus = await readCorpus();
  const { training, held } = splitDocuments(corpus.documents, seed);
  console.log(`${training.length} characters to learn from, ${held.length} held out`);
  const algebra = simdAlgebra(MEMORY_BYTES);
  const trainer = new Trainer(options, algebra);
  const evaluation = new Network(shape, window, algebra, trainer.weights);
  const started = performance.now();
  let [step, nats] = [0, 0];
  for (const loss of trainer.run(training)) {
    step++;
    nats += loss;
    if (step % REPORT_STEPS !== 0) continue;
    const bits = (nats / REPORT_STEPS / Math.LN2).toFixed(3);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    const outlook =
      step % EVALUATION_STEPS === 0 && step < steps
        ? `, held out ${bitsPerCharacter(evaluation, window, held).toFixed(3)}`
        : "";
    console.log(`step ${step}: ${bits} bits per character${outlook}, ${seconds} s`);
    nats = 0;
  }

  const bytes = packWeights(trainer.weights);
  trainer.weights.all.set(unpackWeights(bytes, shape, doublePrecision).all);
  const bits = bitsPerCharacter(evaluation, window, held);
  const statement = {
    ...options,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    bitsPerCharacter: { heldOut: Number(bits.toFixed(3)) },
    corpus: {
      sha256: corpus.digest,
      characters: training.length + held.length,
      heldOut: held.length,
      packages: corpus.packages,
    },
  };
  await writeFile(path.join(folder, "weights.bin"), bytes);
  await writeFile(
    path.join(folder, "weights.json"),
    `${JSON.stringify(statement, undefined, 2)}\n`,
  );
  console.log(`held out: ${bits.toFixed(3)} bits per character`);
}

// `node models/scribe/train.ts`, in some five minutes.
if (process.argv[1] === import.meta.filename) await trainScribe(import.meta.dirname);
