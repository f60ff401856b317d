import { addRows, type Algebra, fillRows, transpose, type Vector } from "./algebra.ts";
import { crossEntropy } from "./cross-entropy.ts";
import { emptyWeights, type Shape, type Weights } from "./weights.ts";

/** How many texts are read side by side, and how many characters of each at a time. */
export interface Window {
  readonly batch: number;
  readonly length: number;
}

/**
 * A language model of one layer of gated recurrent units (Cho et al. 2014, in the variant of cuDNN and
 * ONNX's `linear_before_reset`), and its gradients by backpropagation through one window of time.
 * Everything is time-major: [length, batch, …].
 */
export class Network {
  readonly weights: Weights;
  readonly gradients: Weights;
  /** [length, batch, vocabulary] after `forward`; their derivatives after `score`. */
  readonly logits: Vector;

  readonly #algebra: Algebra;
  readonly #shape: Shape;
  readonly #window: Window;
  /** Embedded tokens times the input weights: [vocabulary, gates]. */
  readonly #table: Vector;
  readonly #tableGradient: Vector;
  /** States: [1 + length, batch, units], the first from before the window. */
  readonly #states: Vector;
  /** z, r and candidate of each step: [length, batch, gates]. */
  readonly #gates: Vector;
  /** Candidates before the reset: [length, batch, units]. */
  readonly #candidates: Vector;
  /** Scratch, later the derivatives of what the recurrent weights gave: [length, batch, gates]. */
  readonly #sums: Vector;
  readonly #stateGradients: Vector;
  readonly #carried: Vector;
  readonly #transposed: Vector;

  constructor(shape: Shape, window: Window, algebra: Algebra, weights: Weights) {
    const { vocabulary, units, embedding } = shape;
    const cells = window.length * window.batch;
    const gates = 3 * units;
    this.#shape = shape;
    this.#window = window;
    this.#algebra = algebra;
    this.weights = weights;
    this.gradients = emptyWeights(shape, algebra);
    this.logits = algebra.vector(cells * vocabulary);
    this.#table = algebra.vector(vocabulary * gates);
    this.#tableGradient = algebra.vector(vocabulary * gates);
    this.#states = algebra.vector((cells + window.batch) * units);
    this.#gates = algebra.vector(cells * gates);
    this.#candidates = algebra.vector(cells * units);
    this.#sums = algebra.vector(cells * gates);
    this.#stateGradients = algebra.vector(cells * units);
    this.#carried = algebra.vector(window.batch * units);
    this.#transposed = algebra.vector(
      Math.max(
        cells * units,
        units * gates,
        units * vocabulary,
        embedding * gates,
        vocabulary * embedding,
      ),
    );
  }

  /** [batch, units], after the last window. */
  get state(): Vector {
    return this.#states.subarray(-this.#window.batch * this.#shape.units);
  }

  /** Reads a window from where the last one ended. */
  forward(tokens: ArrayLike<number>): void {
    const { vocabulary, embedding, units } = this.#shape;
    const { batch, length } = this.#window;
    const { weights } = this;
    const [width, gates] = [batch * units, 3 * units];
    fillRows(this.#table, weights.inputBias);
    this.#multiply(weights.embedding, weights.input, this.#table, vocabulary, embedding, gates);
    this.#states.copyWithin(0, length * width);
    this.#sums.fill(0);
    for (let step = 0; step < length; step++) {
      const before = this.#states.subarray(step * width, (step + 1) * width);
      const sums = this.#sums.subarray(3 * step * width, 3 * (step + 1) * width);
      this.#multiply(before, weights.recurrent, sums, batch, units, gates);
      for (let lane = 0; lane < batch; lane++) this.#advance(step * batch + lane, tokens);
    }
    fillRows(this.logits, weights.outputBias);
    const states = this.#states.subarray(width);
    this.#multiply(states, weights.output, this.logits, length * batch, units, vocabulary);
  }

  /**
   * Mean of −log p(target), in nats.
   * Leaves its derivatives in the place of the logits.
   */
  score(targets: ArrayLike<number>): number {
    return crossEntropy(this.logits, targets, this.#shape.vocabulary);
  }

  /** Fills `gradients`, after `forward` and `score`. */
  backward(tokens: ArrayLike<number>): void {
    const { vocabulary, embedding, units } = this.#shape;
    const { batch, length } = this.#window;
    const { weights, gradients, logits } = this;
    const [width, gates, cells] = [batch * units, 3 * units, batch * length];
    gradients.all.fill(0);

    const states = this.#states.subarray(width);
    this.#multiply(
      this.#turned(states, cells, units),
      logits,
      gradients.output,
      units,
      cells,
      vocabulary,
    );
    addRows(logits, gradients.outputBias);
    this.#stateGradients.fill(0);
    const outputTurned = this.#turned(weights.output, units, vocabulary);
    this.#multiply(logits, outputTurned, this.#stateGradients, cells, vocabulary, units);

    this.#tableGradient.fill(0);
    this.#carried.fill(0);
    const recurrentTurned = this.#turned(weights.recurrent, units, gates);
    for (let step = length - 1; step >= 0; step--) {
      for (let lane = 0; lane < batch; lane++) this.#retreat(step * batch + lane, lane, tokens);
      const sums = this.#sums.subarray(3 * step * width, 3 * (step + 1) * width);
      this.#multiply(sums, recurrentTurned, this.#carried, batch, gates, units);
    }

    const before = this.#turned(this.#states.subarray(0, cells * units), cells, units);
    this.#multiply(before, this.#sums, gradients.recurrent, units, cells, gates);
    addRows(this.#tableGradient, gradients.inputBias);
    const embeddingTurned = this.#turned(weights.embedding, vocabulary, embedding);
    this.#multiply(
      embeddingTurned,
      this.#tableGradient,
      gradients.input,
      embedding,
      vocabulary,
      gates,
    );
    const inputTurned = this.#turned(weights.input, embedding, gates);
    this.#multiply(
      this.#tableGradient,
      inputTurned,
      gradients.embedding,
      vocabulary,
      gates,
      embedding,
    );
  }

  /** One cell's new state. */
  #advance(cell: number, tokens: ArrayLike<number>): void {
    const { units } = this.#shape;
    const bias = this.weights.candidateBias;
    const [states, gates, sums, table] = [this.#states, this.#gates, this.#sums, this.#table];
    const [row, at] = [3 * units * tokens[cell]!, 3 * units * cell];
    const before = units * cell;
    const after = before + units * this.#window.batch;
    for (let unit = 0; unit < units; unit++) {
      const [z, r, h] = [unit, unit + units, unit + 2 * units];
      const update = sigmoid(table[row + z]! + sums[at + z]!);
      const reset = sigmoid(table[row + r]! + sums[at + r]!);
      const candidate = sums[at + h]! + bias[unit]!;
      const fresh = tanh(table[row + h]! + reset * candidate);
      this.#candidates[before + unit] = candidate;
      gates[at + z] = update;
      gates[at + r] = reset;
      gates[at + h] = fresh;
      states[after + unit] = fresh + update * (states[before + unit]! - fresh);
    }
  }

  /** One cell's derivatives; `carried` comes from the next step and goes to the one before. */
  #retreat(cell: number, lane: number, tokens: ArrayLike<number>): void {
    const { units } = this.#shape;
    const bias = this.gradients.candidateBias;
    const [gates, sums, table] = [this.#gates, this.#sums, this.#tableGradient];
    const [row, at] = [3 * units * tokens[cell]!, 3 * units * cell];
    for (let unit = 0; unit < units; unit++) {
      const [z, r, h] = [unit, unit + units, unit + 2 * units];
      const place = units * cell + unit;
      const [update, reset, fresh] = [gates[at + z]!, gates[at + r]!, gates[at + h]!];
      const state = this.#stateGradients[place]! + this.#carried[units * lane + unit]!;
      const dFresh = state * (1 - update) * (1 - fresh * fresh);
      const dUpdate = state * (this.#states[place]! - fresh) * update * (1 - update);
      const dReset = dFresh * this.#candidates[place]! * reset * (1 - reset);
      const dCandidate = dFresh * reset;
      this.#carried[units * lane + unit] = state * update;
      sums[at + z] = dUpdate;
      sums[at + r] = dReset;
      sums[at + h] = dCandidate;
      bias[unit]! += dCandidate;
      table[row + z]! += dUpdate;
      table[row + r]! += dReset;
      table[row + h]! += dFresh;
    }
  }

  #multiply(a: Vector, b: Vector, c: Vector, rows: number, inner: number, columns: number): void {
    this.#algebra.multiply(a, b, c, { rows, inner, columns });
  }

  /** Valid until the next one. */
  #turned(matrix: Vector, rows: number, columns: number): Vector {
    const turned = this.#transposed.subarray(0, rows * columns);
    transpose(matrix, turned, rows, columns);
    return turned;
  }
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}

/** Half as long as Math.tanh takes. */
function tanh(value: number): number {
  return 2 / (1 + Math.exp(-2 * value)) - 1;
}
