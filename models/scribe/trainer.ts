import { Adam } from "./adam.ts";
import type { Algebra } from "./algebra.ts";
import { Network, type Window } from "./network.ts";
import { mulberry32 } from "./random.ts";
import { initialWeights, type Shape, weightCount, type Weights } from "./weights.ts";

export interface TrainingOptions {
  readonly shape: Shape;
  readonly window: Window;
  readonly steps: number;
  readonly learningRate: number;
  /** Decides the weights that training begins with. */
  readonly seed: number;
}

const WARM_UP_STEPS = 100;

/** Weights that learn to foretell a text, in the same way every time. */
export class Trainer {
  readonly weights: Weights;
  readonly #network: Network;
  readonly #optimizer: Adam;
  readonly #options: TrainingOptions;

  constructor(options: TrainingOptions, algebra: Algebra) {
    const { shape, window, seed } = options;
    this.#options = options;
    this.weights = initialWeights(shape, algebra, mulberry32(seed));
    this.#network = new Network(shape, window, algebra, this.weights);
    this.#optimizer = new Adam(weightCount(shape), algebra);
  }

  /** Reads `tokens` over and over, and yields the mean loss of each step in nats. */
  *run(tokens: Uint8Array): Generator<number, void> {
    const { window, steps, learningRate } = this.#options;
    const streams = new Streams(tokens, window);
    for (let step = 0; step < steps; step++) {
      const { inputs, targets } = streams.next();
      this.#network.forward(inputs);
      const loss = this.#network.score(targets);
      this.#network.backward(inputs);
      const warm = Math.min(1, (step + 1) / WARM_UP_STEPS);
      const cosine = (1 + Math.cos((Math.PI * step) / steps)) / 2;
      this.#optimizer.descend(
        this.weights.all,
        this.#network.gradients.all,
        learningRate * warm * cosine,
      );
      yield loss;
    }
  }
}

/** Mean of −log₂ p of every character after the first, without a look at what comes later. */
export function bitsPerCharacter(network: Network, window: Window, tokens: Uint8Array): number {
  const streams = new Streams(tokens, window);
  network.state.fill(0);
  let nats = 0;
  for (let step = 0; step < streams.windows; step++) {
    const { inputs, targets } = streams.next();
    network.forward(inputs);
    nats += network.score(targets);
  }
  return nats / streams.windows / Math.LN2;
}

/** One text as `batch` streams that are read side by side, window by window. */
class Streams {
  /** After so many windows every stream begins anew. */
  readonly windows: number;
  readonly #tokens: Uint8Array;
  readonly #window: Window;
  readonly #inputs: Uint8Array;
  readonly #targets: Uint8Array;
  #next = 0;

  constructor(tokens: Uint8Array, window: Window) {
    const { batch, length } = window;
    this.#tokens = tokens;
    this.#window = window;
    this.#inputs = new Uint8Array(batch * length);
    this.#targets = new Uint8Array(batch * length);
    this.windows = Math.floor((tokens.length - 1) / (batch * length));
    if (this.windows === 0) throw new RangeError("The text is shorter than one window.");
  }

  next(): { readonly inputs: Uint8Array; readonly targets: Uint8Array } {
    const { batch, length } = this.#window;
    for (let lane = 0; lane < batch; lane++) {
      const start = (lane * this.windows + this.#next) * length;
      for (let step = 0; step < length; step++) {
        this.#inputs[step * batch + lane] = this.#tokens[start + step]!;
        this.#targets[step * batch + lane] = this.#tokens[start + step + 1]!;
      }
    }
    this.#next = (this.#next + 1) % this.windows;
    return { inputs: this.#inputs, targets: this.#targets };
  }
}
