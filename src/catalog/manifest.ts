import * as v from "valibot";

import { DATATYPES, type Datatype } from "../runtime/tensor.ts";

/** Keys that valibot's records leave out without a word: what is called so would vanish from the catalog. */
export const isRecordKey = (name: string): boolean =>
  name !== "constructor" && name !== "prototype";

/** Lowercase letters, digits, `-` and `_`: safe in a URL, an R2 key and a header. */
export const ModelName = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9_-]{0,63}$/),
  v.check(isRecordKey),
);

/** Versions count up from 1 and are never reused. */
export const ModelVersion = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

export const Digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

const Bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** A content-addressed object in the bucket: `blobs/<digest>`. */
export const BlobRef = v.object({ digest: Digest, bytes: Bytes });
export type BlobRef = v.InferOutput<typeof BlobRef>;

/** An input or output of the graph; `-1` stands for a dimension that the request chooses. */
export const TensorSpec = v.object({
  name: v.string(),
  datatype: v.picklist(Object.keys(DATATYPES) as [Datatype, ...Datatype[]]),
  shape: v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(-1))),
  /** Of an input: what the graph calls each axis. Axes of one name have one size. Older manifests say nothing of it. */
  axes: v.optional(v.array(v.nullable(v.string()))),
});
export type TensorSpec = v.InferOutput<typeof TensorSpec>;

const Labels = v.pipe(v.array(v.string()), v.minLength(1));
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** What turns a person's input into tensors and back; one object per task, by `type`. */
export const TaskConfig = v.variant("type", [
  v.strictObject({
    type: v.literal("embedding"),
    /** Texts longer than this are cut, [CLS] and [SEP] included. */
    maxTokens: Count,
    dimensions: Count,
    /** Asset that holds a Hugging Face `tokenizer.json`. */
    tokenizer: v.literal("tokenizer"),
  }),
  v.strictObject({
    type: v.literal("byte-classification"),
    /** Bytes beyond this are ignored, as the model's authors do. */
    maxBytes: Count,
    /** Fewer bytes than this can't be classified. */
    minBytes: Count,
    labels: Labels,
  }),
  v.strictObject({
    type: v.literal("language-identification"),
    /** UTF-16 units; a longer text is refused. */
    maxCharacters: Count,
    labels: Labels,
  }),
  v.strictObject({
    type: v.literal("image-classification"),
    /** What the graph sees. */
    width: Count,
    height: Count,
    /** Larger pictures are refused before they are decoded. */
    maxPixels: Count,
    labels: Labels,
  }),
  v.strictObject({
    type: v.literal("speech-activity"),
    sampleRate: Count,
    /** Samples that the model hears per step, and how many of the step before it sees again. */
    stepSamples: Count,
    contextSamples: Count,
    maxSeconds: Count,
  }),
  v.strictObject({
    type: v.literal("tabular-classification"),
    columns: v.pipe(v.array(v.string()), v.minLength(1)),
    labels: Labels,
  }),
  /** An ensemble of `detector`, `classifier` and `recogniser`. */
  v.strictObject({
    type: v.literal("text-recognition"),
    /** Pictures of more pixels are not decoded. */
    maxPixels: Count,
    /** The detector reads a page shrunk to this on its longer side, in squares of this side. */
    pageSide: Count,
    tileSide: Count,
    /** The same where the tensors are computed in an origin pool. */
    originPageSide: Count,
    originTileSide: Count,
    /** Longer lines are recognised in pieces; in pixels of a line that is 48 high. */
    maxLineWidth: Count,
    /** Asset that holds a line for each character that the recogniser tells apart. */
    characters: v.literal("characters"),
  }),
  /** Text that goes on: only at the origin, by the OpenAI routes. */
  v.strictObject({
    type: v.literal("text-generation"),
    /** Prompt and answer together. */
    contextCharacters: Count,
    /** Number of tokens that the model tells apart. */
    vocabulary: v.optional(Count),
  }),
  /** Tensors in, tensors out: only the Open Inference Protocol. */
  v.strictObject({ type: v.literal("tensor") }),
]);
export type TaskConfig = v.InferOutput<typeof TaskConfig>;
export type TaskType = TaskConfig["type"];
export type TaskConfigOf<T extends TaskType> = Extract<TaskConfig, { type: T }>;

/** What decides whether a request is placed at the edge. */
const EdgeCosts = {
  /** A request that would take longer at the edge goes to the origin pool, if there is one. */
  targetMs: v.optional(v.pipe(v.number(), v.minValue(0))),
  /** Measured, on a machine that is warm: what each request takes, and each unit of it. */
  msPerRequest: v.optional(v.pipe(v.number(), v.minValue(0)), 0),
  msPerUnit: v.optional(v.record(v.string(), v.pipe(v.number(), v.minValue(0)))),
};
export type EdgeCosts = v.InferOutput<v.ObjectSchema<typeof EdgeCosts, undefined>>;

const Comparison = v.object({
  /** Lowest cosine of any row of any float output with the unquantized model's. */
  cosine: v.number(),
  /** Largest difference of any element: absolute up to 1, relative beyond. */
  largestDifference: v.number(),
  /** Share of rows of float outputs whose largest element stands in the same place. */
  classAgreement: v.number(),
  /** Share of equal elements of outputs that are no floats. */
  equality: v.number(),
});
export type Comparison = v.InferOutput<typeof Comparison>;

/** What a model must hold, against its unquantized form in the native runtime on its fixtures. */
export const Thresholds = v.partial(
  v.strictObject({
    cosine: v.pipe(v.number(), v.maxValue(1)),
    largestDifference: v.pipe(v.number(), v.minValue(0)),
    classAgreement: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
    equality: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
  }),
);
export type Thresholds = v.InferOutput<typeof Thresholds>;

export const Quantization = v.picklist(["int8", "none"]);
export type Quantization = v.InferOutput<typeof Quantization>;

/** One graph of an ensemble. */
export const Member = v.object({
  graph: BlobRef,
  weights: v.optional(v.object({ name: v.string(), ...BlobRef.entries })),
  snapshot: v.optional(v.object({ ...BlobRef.entries, runtime: Digest })),
  inputs: v.array(TensorSpec),
  outputs: v.array(TensorSpec),
  /** Linear memory of its instance once its largest inputs have run. */
  heapBytes: Bytes,
});
export type Member = v.InferOutput<typeof Member>;

/** Tasks speak of an ensemble's members by these names. */
const MemberName = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/), v.check(isRecordKey));

/** What a person says of a member; its graph comes from the folder's build.ts. */
const MemberSource = v.strictObject({
  /** Shapes of the largest inputs that the task gives it: memory for them is there from the start. */
  largest: v.record(v.string(), v.array(Count)),
});

/** What the publish gate found of a version, on the machine that published it. */
export const GateReport = v.object({
  /** Number of nodes by operator, after optimisation and quantization. */
  operators: v.record(v.string(), v.number()),
  opset: v.number(),
  quantization: Quantization,
  /** Where the fixtures come from. */
  fixtures: v.string(),
  comparison: Comparison,
  thresholds: Thresholds,
  /** The file that was given, and the blobs that were made of it. */
  bytes: v.object({ source: Bytes, graph: Bytes, weights: Bytes, snapshot: Bytes }),
  heapBytes: Bytes,
  /** First answer of a fresh isolate and median of warm ones, over HTTP in local workerd; absent without an edge build. */
  coldMs: v.optional(v.number()),
  warmMs: v.optional(v.number()),
});
export type GateReport = v.InferOutput<typeof GateReport>;

const ManifestFields = v.object({
  schema: v.literal(1),
  name: ModelName,
  version: ModelVersion,
  description: v.string(),
  /** SPDX expression of the weights. */
  licence: v.string(),
  /** Where the weights come from: `npm:<package>@<version>`. */
  source: v.string(),
  /** SHA-256 of everything that decided the build. */
  sourceDigest: Digest,
  task: TaskConfig,
  /** The ONNX graph; its large initialisers live in `weights`. Absent where there are `members`. */
  graph: v.optional(BlobRef),
  /** External data of the graph, mounted under this name. */
  weights: v.optional(v.object({ name: v.string(), ...BlobRef.entries })),
  /** The memory of a session that is ready, for the runtime with this digest (WASM, then glue). */
  snapshot: v.optional(v.object({ ...BlobRef.entries, runtime: Digest })),
  /** The graphs of an ensemble, published together; it takes and gives no tensors itself. */
  members: v.optional(v.record(MemberName, Member)),
  /** What origins run, in one file: the graph with its weights. Absent: `graph` and `weights`. */
  originBuild: v.optional(v.object({ graph: BlobRef })),
  /** `false`: there is no edge build, and no snapshot. */
  edge: v.optional(v.union([v.literal(false), v.object(EdgeCosts)])),
  /** Files that the task needs beside the graph. */
  assets: v.record(v.string(), BlobRef),
  inputs: v.array(TensorSpec),
  outputs: v.array(TensorSpec),
  /** Measured at publication; the host admits against the sum. */
  memory: v.object({
    /** Linear memory once the fixtures have run; 0 without an edge build. */
    heapBytes: Bytes,
    /** JS memory that the task keeps: tokenizer tables. */
    taskBytes: Bytes,
  }),
  limits: v.object({
    /** Inputs per request. */
    maxBatch: Count,
    maxBodyBytes: Count,
  }),
  /** Absent for the models that ship: their tests are their gate. */
  gate: v.optional(GateReport),
});

/**
 * The immutable statement of one published version: `models/<name>/<version>/manifest.json`.
 * Unknown fields are let through, so that an older edge can read what a newer publisher wrote.
 */
export const Manifest = v.pipe(
  ManifestFields,
  v.forward(
    v.check(
      ({ graph, members }) => (graph === undefined) !== (members === undefined),
      "A model has one graph, or members.",
    ),
    ["graph"],
  ),
);
export type Manifest = v.InferOutput<typeof Manifest>;

/** `models/<name>/model.json`: what a person writes; publication measures the rest. */
export const ModelSource = v.strictObject({
  name: ModelName,
  version: ModelVersion,
  description: v.string(),
  licence: v.string(),
  source: v.string(),
  task: TaskConfig,
  limits: Manifest.entries.limits,
  edge: v.optional(v.union([v.literal(false), v.strictObject(EdgeCosts)])),
  /** `reference`: origins run the model as it was before quantization, where publication is told so. */
  originBuild: v.optional(v.literal("reference")),
  /** The members of an ensemble, by name. */
  ensemble: v.optional(v.record(MemberName, MemberSource)),
  /** For folders with an .onnx file; a build.ts quantizes as it likes. */
  quantize: v.optional(Quantization),
  thresholds: v.optional(Thresholds),
});
export type ModelSource = v.InferOutput<typeof ModelSource>;
