import { type Fixtures, type FixtureTensor, toFixture } from "../../src/publish/source.ts";
import { encode, encodePrompt } from "./alphabet.ts";
import { doublePrecision, type Vector } from "./algebra.ts";
import { type CommittedWeights, readCommittedWeights } from "./committed.ts";
import { Network } from "./network.ts";

/** The trainer's own network in double precision, without ONNX. */
export async function makeFixtures(): Promise<Fixtures> {
  const committed = await readCommittedWeights();
  const { units } = committed.shape;
  const first = run(committed, [encodePrompt("Returns a promise")], new Float64Array(units));
  const second = run(committed, [encode("T"), encode("#")], new Float64Array(2 * units));
  const cases = [
    { name: "a text that begins", ...first.tensors },
    {
      name: "one character more",
      ...run(committed, [encode(" ")], first.state).tensors,
    },
    {
      name: "two texts that go on side by side",
      ...run(committed, [encode("he value"), encode("# Usage\n")], second.state).tensors,
    },
  ];
  return {
    source: "The network in double precision, computed by network.ts without ONNX.",
    cases: cases.map((one) => ({ ...one, tolerance: 1e-4 })),
  };
}

interface Run {
  readonly tensors: {
    readonly inputs: Record<string, FixtureTensor>;
    readonly expected: Record<string, FixtureTensor>;
  };
  readonly state: Vector;
}

function run(
  { weights, shape }: CommittedWeights,
  texts: readonly (readonly number[])[],
  before: Vector,
): Run {
  const { units, vocabulary } = shape;
  const window = { batch: texts.length, length: texts[0]?.length ?? 0 };
  const { batch, length } = window;
  const network = new Network(shape, window, doublePrecision, weights);
  // Fixtures are float32: the reference starts from the same.
  const state = Float32Array.from(before);
  network.state.set(state);
  network.forward(
    Array.from(
      { length: batch * length },
      (_, cell) => texts[cell % batch]![Math.floor(cell / batch)]!,
    ),
  );
  const logits = Float32Array.from({ length: network.logits.length }, (_, index) => {
    const row = Math.floor(index / vocabulary);
    const cell = (row % length) * batch + Math.floor(row / length);
    return network.logits[cell * vocabulary + (index % vocabulary)]!;
  });
  const after = Float32Array.from(network.state);
  const token = BigInt64Array.from(texts.flat(), BigInt);
  const tensors = {
    inputs: {
      token: toFixture({ datatype: "INT64", shape: [batch, length], data: token }),
      state: toFixture({ datatype: "FP32", shape: [1, batch, units], data: state }),
    },
    expected: {
      logits: toFixture({ datatype: "FP32", shape: [batch, length, vocabulary], data: logits }),
      next_state: toFixture({ datatype: "FP32", shape: [1, batch, units], data: after }),
    },
  };
  return { tensors, state: network.state };
}
