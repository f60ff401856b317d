import { numbersOf, type Tensor, type TensorOf } from "../../runtime/tensor.ts";

/** What can be classified: a number has an order. */
export function isClassifiable(datatype: Tensor["datatype"]): boolean {
  return datatype !== "BYTES" && datatype !== "BOOL";
}

/**
 * The best classes of each row as `value:index` or `value:index:label`, the highest value first.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
 *
 * @param count of classes for a row; a row that has fewer gives all that it has
 * @param labels used where a row has as many elements
 * @returns [rows, classes], or [classes] for a tensor of one dimension or none, as Triton has it
 *
 * @example
 * classified({ datatype: "FP32", shape: [1, 3], data: Float32Array.of(0.1, 0.7, 0.2) }, 1, ["a", "b", "c"]);
 * // { datatype: "BYTES", shape: [1, 1], data: ["0.700000:1:b"] }
 */
export function classified(
  tensor: Tensor,
  count: number,
  labels: readonly string[] = [],
): TensorOf<"BYTES"> {
  if (!isClassifiable(tensor.datatype)) throw new TypeError(`${tensor.datatype} has no classes.`);
  const values = valuesOf(tensor);
  const [batch = 1, ...rest] = tensor.shape;
  const hasRows = rest.length > 0;
  const rows = hasRows ? batch : 1;
  const width =
    rows === 0 ? rest.reduce((product, size) => product * size, 1) : values.length / rows;
  const text = textFor(tensor);
  const classes = Math.min(count, width);
  const data: string[] = [];
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    for (const index of best(values, start, width).subarray(0, classes)) {
      const label = labels.length === width ? `:${labels[index]}` : "";
      data.push(`${text(values[start + index] ?? 0)}:${index}${label}`);
    }
  }
  return { datatype: "BYTES", shape: hasRows ? [rows, classes] : [classes], data };
}

type Values = ArrayLike<number | bigint>;

/** Integers of 64 bits as they are: as doubles, neighbours beyond 2^53 are the same. */
function valuesOf(tensor: Tensor): Values {
  const isLong = tensor.datatype === "INT64" || tensor.datatype === "UINT64";
  return isLong ? tensor.data : numbersOf(tensor);
}

/** The indexes of a row, best first; of equals the first one, and NaN last. */
function best(values: Values, start: number, width: number): Uint32Array {
  return Uint32Array.from({ length: width }, (_, index) => index).sort((a, b) => {
    const [one, other] = [values[start + a] ?? 0, values[start + b] ?? 0];
    if (one > other) return -1;
    if (other > one) return 1;
    return Number(Number.isNaN(one)) - Number(Number.isNaN(other)) || a - b;
  });
}

/** As std::to_string has it: integers by their digits, floats as `%f`. */
function textFor({ datatype }: Tensor): (value: number | bigint) => string {
  return datatype.includes("INT") ? String : (value) => fixed(Number(value));
}

const DECIMALS = 6;

function fixed(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  // From here on toFixed is not, and there is no fraction.
  if (Math.abs(value) >= 1e21) return `${BigInt(value)}.${"0".repeat(DECIMALS)}`;
  const text = value.toFixed(DECIMALS);
  // Of two that are as near, toFixed takes the larger, and printf the even one: 1/128 is 0.007812.
  const isOdd = Math.abs(value * 128) % 2 === 1 && /[13579]$/.test(text);
  return isOdd ? (value * (1 - Number.EPSILON)).toFixed(DECIMALS) : text;
}
