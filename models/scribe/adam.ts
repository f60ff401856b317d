import type { Algebra, Vector } from "./algebra.ts";

const [DECAY_OF_MEAN, DECAY_OF_SQUARE, EPSILON] = [0.9, 0.99, 1e-8];
/** Longer gradients are cut to this length (Pascanu et al. 2013): they explode in recurrent networks. */
const LONGEST_GRADIENT = 1;

/** Kingma and Ba, "Adam" (2014), behind a clip of the gradient's norm. */
export class Adam {
  readonly #means: Vector;
  readonly #squares: Vector;
  #steps = 0;

  constructor(length: number, algebra: Pick<Algebra, "vector">) {
    this.#means = algebra.vector(length);
    this.#squares = algebra.vector(length);
  }

  descend(weights: Vector, gradients: Vector, learningRate: number): void {
    const [means, squares] = [this.#means, this.#squares];
    this.#steps++;
    const scale = Math.min(1, LONGEST_GRADIENT / norm(gradients));
    const meanBias = 1 - DECAY_OF_MEAN ** this.#steps;
    const squareBias = 1 - DECAY_OF_SQUARE ** this.#steps;
    for (let index = 0; index < weights.length; index++) {
      const gradient = scale * gradients[index]!;
      const mean = (means[index]! += (1 - DECAY_OF_MEAN) * (gradient - means[index]!));
      const square = (squares[index]! +=
        (1 - DECAY_OF_SQUARE) * (gradient * gradient - squares[index]!));
      weights[index]! -=
        (learningRate * (mean / meanBias)) / (Math.sqrt(square / squareBias) + EPSILON);
    }
  }
}

function norm(vector: Vector): number {
  let squares = 0;
  for (let index = 0; index < vector.length; index++) squares += vector[index]! ** 2;
  return Math.sqrt(squares);
}
