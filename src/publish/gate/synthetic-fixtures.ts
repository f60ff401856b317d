import type { TensorSpec } from "../../catalog/manifest.ts";
import {
  arrayOf,
  elementCount,
  type NumericDatatype,
  type Tensor,
  toBf16,
} from "../../runtime/tensor.ts";
import { PublishError } from "../error.ts";
import { ReferenceSession } from "../onnx/reference-session.ts";
import type { Signature } from "../onnx/signature.ts";
import { type Fixtures, toFixture } from "../source.ts";

/** Sizes tried for dimensions that the request chooses, until the model runs. */
const SIZES = [32, 64, 48, 16, 8, 1, 96, 128, 160, 192, 224, 256, 320, 384, 512, 640] as const;
const BATCHES = [1, 3] as const;
const TOLERANCE = 1e-3;

/**
 * Fixtures for a model that comes without: seeded noise in every shape that fits, and what the unquantized
 * model makes of it in the native runtime. They say that the edge computes the same, not that it is right.
 *
 * @throws PublishError `bad_fixtures` when no shape makes the model run
 */
export async function syntheticFixtures(
  onnx: Uint8Array,
  { inputs }: Signature,
): Promise<Fixtures> {
  const session = await ReferenceSession.create(onnx);
  try {
    const size = await findSize(session, inputs);
    const cases: Fixtures["cases"] = [];
    const hasBatch = inputs.some(({ shape }) => shape[0] === -1);
    for (const batch of hasBatch ? BATCHES : ([1] as const)) {
      const feeds = feedsFor(inputs, batch, size, batch);
      const expected = await session.run(feeds).catch(() => undefined);
      // Some exports say that any batch will do, and were traced with one.
      if (expected === undefined) continue;
      cases.push({
        name: hasBatch ? `noise, a batch of ${batch}` : "noise",
        inputs: mapValues(feeds, toFixture),
        expected: mapValues(expected, toFixture),
        tolerance: TOLERANCE,
      });
    }
    return {
      source: "Seeded noise, and the unquantized model's answer in onnxruntime-node.",
      cases,
    };
  } finally {
    await session.release();
  }
}

async function findSize(session: ReferenceSession, inputs: readonly TensorSpec[]): Promise<number> {
  let words = "";
  for (const size of SIZES) {
    try {
      await session.run(feedsFor(inputs, 1, size, 1));
      return size;
    } catch (error) {
      words = (error as Error).message;
    }
  }
  throw new PublishError(
    "bad_fixtures",
    `No shape was found that the model runs with. Put a fixtures.json beside it with inputs that fit. ONNX Runtime says: ${words}`,
  );
}

function feedsFor(
  inputs: readonly TensorSpec[],
  batch: number,
  size: number,
  seed: number,
): Record<string, Tensor> {
  const random = xorshift32(seed);
  return Object.fromEntries(
    inputs.map(({ name, datatype, shape }) => {
      const dimensions = shape.map((dimension, axis) =>
        dimension !== -1 ? dimension : axis === 0 ? batch : size,
      );
      return [name, noise(name, datatype, dimensions, random)];
    }),
  );
}

function noise(
  name: string,
  datatype: TensorSpec["datatype"],
  shape: readonly number[],
  random: () => number,
): Tensor {
  const count = elementCount(shape);
  if (datatype === "BYTES") {
    const data = Array.from({ length: count }, () => `text ${Math.floor(random() * 100)}`);
    return { datatype, shape, data };
  }
  const values = Array.from({ length: count }, () => valueOf(name, datatype, random()));
  const data =
    datatype === "INT64" || datatype === "UINT64"
      ? arrayOf(datatype).from(values.map(BigInt) as never)
      : datatype === "FP16"
        ? new Uint16Array(new Float16Array(values).buffer)
        : datatype === "BF16"
          ? Uint16Array.from(values, toBf16)
          : arrayOf(datatype).from(values as never);
  return { datatype, shape, data } as Tensor;
}

/** Small whole numbers are in every vocabulary; a mask hides nothing. */
const WHOLE_NUMBERS = 10;

function valueOf(name: string, datatype: NumericDatatype, unit: number): number {
  if (datatype === "BOOL") return unit < 0.5 ? 0 : 1;
  if (/^B?FP?\d/.test(datatype)) return 2 * unit - 1;
  return name.includes("mask") ? 1 : Math.floor(unit * WHOLE_NUMBERS);
}

/** Uniform in [0, 1), the same every time. Marsaglia, "Xorshift RNGs" (2003). */
function xorshift32(seed: number): () => number {
  let state = 0x9e37_79b9 ^ seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

function mapValues<T, U>(
  record: Readonly<Record<string, T>>,
  map: (value: T) => U,
): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
