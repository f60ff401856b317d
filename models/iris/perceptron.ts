/** What training knows: rows of features, and the class of each. */
export interface Dataset {
  readonly rows: readonly (readonly number[])[];
  readonly classes: readonly number[];
}

export interface TrainingOptions {
  readonly hidden: number;
  readonly classCount: number;
  readonly epochs: number;
  readonly learningRate: number;
  /** Uniform in [0, 1): the same sequence gives the same network. */
  readonly random: () => number;
}

/** A network of one hidden layer: standardise, ReLU, softmax. Matrices are row-major, [from, to]. */
export interface Perceptron {
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  readonly hiddenWeights: readonly number[];
  readonly hiddenBias: readonly number[];
  readonly outputWeights: readonly number[];
  readonly outputBias: readonly number[];
}

/** Probability of each class, in double precision. */
export function predict(network: Perceptron, row: readonly number[]): number[] {
  return forward(network, row).probabilities;
}

/** Stochastic gradient descent on the cross-entropy, one row at a time. */
export function train({ rows, classes }: Dataset, options: TrainingOptions): Perceptron {
  const { hidden, classCount, epochs, learningRate, random } = options;
  const features = rows[0]?.length ?? 0;
  const uniform = (count: number): number[] => Array.from({ length: count }, () => random() - 0.5);
  const columns = Array.from({ length: features }, (_, column) =>
    rows.map((row) => row[column] ?? 0),
  );
  const mean = columns.map(average);
  const deviation = columns.map((values, column) =>
    Math.sqrt(average(values.map((value) => (value - entry(mean, column)) ** 2))),
  );
  const network = {
    mean,
    deviation,
    hiddenWeights: uniform(features * hidden),
    hiddenBias: Array<number>(hidden).fill(0),
    outputWeights: uniform(hidden * classCount),
    outputBias: Array<number>(classCount).fill(0),
  };
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const [index, row] of rows.entries()) {
      const { scaled, activations, probabilities } = forward(network, row);
      const outputError = probabilities.map(
        (probability, one) => probability - (one === classes[index] ? 1 : 0),
      );
      const hiddenError = activations.map((activation, unit) =>
        activation > 0
          ? sum(
              outputError,
              (error, one) => error * entry(network.outputWeights, unit * classCount + one),
            )
          : 0,
      );
      descend(network.outputWeights, network.outputBias, activations, outputError, learningRate);
      descend(network.hiddenWeights, network.hiddenBias, scaled, hiddenError, learningRate);
    }
  }
  return network;
}

function forward(network: Perceptron, row: readonly number[]) {
  const { mean, deviation, hiddenWeights, hiddenBias, outputWeights, outputBias } = network;
  const scaled = row.map((value, one) => (value - entry(mean, one)) / entry(deviation, one));
  const activations = layer(scaled, hiddenWeights, hiddenBias).map((value) => Math.max(0, value));
  const logits = layer(activations, outputWeights, outputBias);
  const largest = Math.max(...logits);
  const exponentials = logits.map((logit) => Math.exp(logit - largest));
  const total = sum(exponentials, (value) => value);
  return { scaled, activations, probabilities: exponentials.map((value) => value / total) };
}

function layer(
  inputs: readonly number[],
  weights: readonly number[],
  bias: readonly number[],
): number[] {
  return bias.map(
    (offset, unit) =>
      offset + sum(inputs, (input, one) => input * entry(weights, one * bias.length + unit)),
  );
}

function descend(
  weights: number[],
  bias: number[],
  inputs: readonly number[],
  errors: readonly number[],
  learningRate: number,
): void {
  for (const [unit, error] of errors.entries()) {
    bias[unit] = entry(bias, unit) - learningRate * error;
    for (const [one, input] of inputs.entries()) {
      const place = one * errors.length + unit;
      weights[place] = entry(weights, place) - learningRate * error * input;
    }
  }
}

function entry(values: readonly number[], index: number): number {
  return values[index] ?? Number.NaN;
}

function average(values: readonly number[]): number {
  return sum(values, (value) => value) / values.length;
}

function sum(values: readonly number[], term: (value: number, index: number) => number): number {
  let total = 0;
  for (const [index, value] of values.entries()) total += term(value, index);
  return total;
}
