import type { Comparison, Manifest } from "../../catalog/manifest.ts";
import { compileCatalog } from "../../catalog/catalog.ts";
import { CATALOG_KV_KEY } from "../../catalog/reader.ts";
import { isFloat, numbersOf, type Tensor, toBf16 } from "../../runtime/tensor.ts";
import type { PublishTarget } from "../bucket.ts";
import { PublishError } from "../error.ts";
import { ReferenceSession } from "../onnx/reference-session.ts";
import { type Candidate, publishCandidate } from "../publish.ts";
import { size } from "../size.ts";
import { feedsOf, type FixtureTensor, toTensor } from "../source.ts";
import { compareOutputs, IDENTICAL, worseOf } from "./compare.ts";

/** A real edge in real workerd, with a bucket that is thrown away. */
export interface TrialEdge {
  readonly edgeUrl: string;
  readonly target: PublishTarget;
  stop(): Promise<void>;
}

export interface Trial {
  readonly comparison: Comparison;
  /** A sentence for each output that is not what its fixture expects. */
  readonly unexpected: readonly string[];
  readonly manifest: Manifest;
  /** First answer of a fresh isolate. */
  readonly coldMs: number;
  /** Median of the answers after it. */
  readonly warmMs: number;
}

const WARM_REQUESTS = 9;

/** The same model without its snapshot, so that the plain way is tried, too. */
const PLAIN_VERSION_OFFSET = 1;

/**
 * Publishes a candidate into a bucket that is thrown away, and has the real edge Worker answer every
 * fixture in real workerd: restored from its snapshot, and loaded from its graph. Both must give the same
 * numbers; they are compared with the unquantized model in the native runtime.
 *
 * @throws PublishError `trial_failed`
 */
export async function tryInWorkerd(
  candidate: Candidate,
  reference: Uint8Array,
  startEdge: () => Promise<TrialEdge>,
): Promise<Trial> {
  const native = await ReferenceSession.create(reference);
  const stack = await startEdge();
  try {
    const manifest = await publishCandidate(candidate, stack.target, () => {});
    const plainVersion = manifest.version + PLAIN_VERSION_OFFSET;
    const { snapshot: _, ...withoutSnapshot } = manifest;
    const versions = [manifest, { ...withoutSnapshot, version: plainVersion }];
    const catalog = compileCatalog(
      {
        schema: 1,
        number: 2,
        models: {
          [manifest.name]: {
            versions: versions.map(({ version }) => version),
            labels: { stable: manifest.version },
          },
        },
      },
      (_name, version) => versions.find((one) => one.version === version) ?? manifest,
    );
    await stack.target.namespace.put(CATALOG_KV_KEY, JSON.stringify(catalog));

    let comparison = IDENTICAL;
    const unexpected: string[] = [];
    let coldMs = 0;
    for (const [index, fixture] of candidate.fixtures.cases.entries()) {
      const expected = await native.run(feedsOf(fixture));
      checkNumbers(expected, fixture.name);
      const restored = await ask(stack.edgeUrl, manifest, manifest.version, fixture.inputs);
      const plain = await ask(stack.edgeUrl, manifest, plainVersion, fixture.inputs);
      if (index === 0) {
        coldMs = restored.milliseconds;
        checkStart(restored.start, "restored");
        checkStart(plain.start, "loaded");
      }
      checkSame(restored.outputs, plain.outputs, fixture.name);
      comparison = worseOf(comparison, compareOutputs(restored.outputs, expected));
      unexpected.push(...differencesFrom(fixture, restored.outputs));
    }
    const [first] = candidate.fixtures.cases;
    const times: number[] = [];
    for (let request = 0; request < WARM_REQUESTS; request++) {
      const inputs = first?.inputs ?? {};
      times.push((await ask(stack.edgeUrl, manifest, manifest.version, inputs)).milliseconds);
    }
    times.sort((a, b) => a - b);
    return { comparison, unexpected, manifest, coldMs, warmMs: times[times.length >> 1] ?? 0 };
  } finally {
    await native.release();
    await stack.stop();
  }
}

interface Answer {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly start: string | null;
  readonly milliseconds: number;
}

async function ask(
  edgeUrl: string,
  { name, outputs: specs }: Manifest,
  version: number,
  inputs: Readonly<Record<string, FixtureTensor>>,
): Promise<Answer> {
  const body = JSON.stringify({
    inputs: Object.entries(inputs).map(([input, tensor]) => ({ name: input, ...onWire(tensor) })),
  });
  const began = performance.now();
  const response = await fetch(`${edgeUrl}/v2/models/${name}/versions/${version}/infer`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const text = await response.text();
  const milliseconds = performance.now() - began;
  if (response.status === 413) {
    throw new PublishError(
      "unsupported_model",
      `A request with these inputs has ${size(body.length)} as JSON, more than the edge takes: the model's inputs are too large for it.`,
    );
  }
  if (!response.ok) {
    throw new PublishError(
      "trial_failed",
      `The edge refused a fixture: ${response.status} ${text}`,
    );
  }
  const { outputs } = JSON.parse(text) as { outputs: (FixtureTensor & { name: string })[] };
  const tensors = outputs.map((output) => [output.name, fromWire(output)] as const);
  const answered = Object.fromEntries(tensors);
  const missing = specs.find((spec) => !(spec.name in answered));
  if (missing !== undefined) {
    throw new PublishError("trial_failed", `The edge answered without "${missing.name}".`);
  }
  return { outputs: answered, start: response.headers.get("nearside-start"), milliseconds };
}

/** FP16 and BF16 are bits in fixtures, and numbers in JSON. */
function onWire(tensor: FixtureTensor): FixtureTensor {
  if (tensor.datatype !== "FP16" && tensor.datatype !== "BF16") return tensor;
  return { ...tensor, data: Array.from(numbersOf(toTensor(tensor))) };
}

function fromWire({ datatype, shape, data }: FixtureTensor): Tensor {
  if (datatype === "FP16") {
    const halves = Float16Array.from(data as number[], numberOrNan);
    return { datatype, shape, data: new Uint16Array(halves.buffer) };
  }
  if (datatype === "BF16") {
    const bits = (data as number[]).map((value) => toBf16(numberOrNan(value)));
    return { datatype, shape, data: Uint16Array.from(bits) };
  }
  if (datatype === "FP32" || datatype === "FP64") {
    return toTensor({ datatype, shape, data: (data as number[]).map(numberOrNan) });
  }
  return toTensor({ datatype, shape, data });
}

/** JSON has no NaN and no infinities: they come as null. */
function numberOrNan(value: number | null): number {
  return value ?? Number.NaN;
}

/** A model that answers no number at all would equal itself for ever. */
function checkNumbers(outputs: Readonly<Record<string, Tensor>>, fixture: string): void {
  for (const [name, tensor] of Object.entries(outputs)) {
    if (!isFloat(tensor) || tensor.data.length === 0) continue;
    if (numbersOf(tensor).some(Number.isFinite)) continue;
    throw new PublishError(
      "bad_fixtures",
      `"${fixture}": the model answers no number in "${name}".`,
    );
  }
}

type Fixture = Candidate["fixtures"]["cases"][number];

/** What the author expects, within the tolerance that the fixture has. */
export function differencesFrom(
  { name: title, expected, tolerance }: Fixture,
  seen: Readonly<Record<string, Tensor>>,
): string[] {
  return Object.entries(expected).flatMap(([name, fixture]) => {
    const wanted = toTensor(fixture);
    const answer = seen[name];
    const place = `"${title}": "${name}"`;
    if (answer === undefined) return [`${place} is missing`];
    if (answer.datatype !== wanted.datatype || answer.shape.join() !== wanted.shape.join()) {
      return [`${place} has another shape or datatype than the fixture expects`];
    }
    if (wanted.datatype === "BYTES") {
      const isSame = wanted.data.join("\0") === (answer.data as string[]).join("\0");
      return isSame ? [] : [`${place} differs from what the fixture expects`];
    }
    const [a, b] = [numbersOf(answer), numbersOf(wanted)];
    let largest = 0;
    for (const [at, value] of a.entries()) {
      const difference = Math.abs(value - (b[at] ?? Number.NaN));
      largest = Math.max(largest, Number.isNaN(difference) ? Infinity : difference);
    }
    return largest <= tolerance
      ? []
      : [`${place} differs by ${largest} from what the fixture expects, over its ${tolerance}`];
  });
}

function checkStart(start: string | null, wanted: string): void {
  if (start === wanted) return;
  throw new PublishError(
    "trial_failed",
    `The edge ${start} the model where it should have ${wanted} it.`,
  );
}

function checkSame(
  restored: Readonly<Record<string, Tensor>>,
  plain: Readonly<Record<string, Tensor>>,
  fixture: string,
): void {
  for (const [name, tensor] of Object.entries(restored)) {
    const other = plain[name];
    const isSame =
      other !== undefined &&
      tensor.shape.join() === other.shape.join() &&
      tensor.data.length === other.data.length &&
      tensor.data.every((value: unknown, at: number) => Object.is(value, other.data[at]));
    if (isSame) continue;
    throw new PublishError(
      "trial_failed",
      `"${fixture}": the restored model gives another "${name}" than the loaded one.`,
    );
  }
}
