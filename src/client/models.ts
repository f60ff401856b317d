import type { Datatype } from "./tensor.ts";

/** What is known of a model; `nearside types` writes one for each. */
export interface ModelTypes {
  readonly task: string;
  /** Numbers and labels. */
  readonly versions: number | string;
  /** What a classifier tells apart. */
  readonly labels: string;
  /** Datatypes of the graph's tensors, by name. */
  readonly inputs: Readonly<Record<string, Datatype>>;
  readonly outputs: Readonly<Record<string, Datatype>>;
}

/** A catalog of which nothing is known. */
export type AnyModels = Readonly<Record<string, ModelTypes>>;

/** Names of models; with a task, of those that do that. */
export type NameOf<Models, Task extends string = string> = {
  [Name in keyof Models & string]: Models[Name] extends { readonly task: infer T extends string }
    ? string extends T
      ? Name
      : T extends Task
        ? Name
        : never
    : never;
}[keyof Models & string];

export type VersionOf<Models, Name extends keyof Models> = Models[Name] extends {
  readonly versions: infer V;
}
  ? V
  : never;

/** A body of its own media type: audio, a picture, a file. */
export type RawInput = Blob | ArrayBuffer | ArrayBufferView;

export interface LabelScore<Label extends string = string> {
  readonly label: Label;
  readonly score: number;
}

/** When somebody speaks, in seconds. */
export interface SpeechSegment {
  readonly label: "speech";
  readonly score: number;
  readonly start: number;
  readonly end: number;
}

/** The text of a picture, and its lines where they are. */
export interface RecognizedText {
  readonly generated_text: string;
  readonly lines: readonly {
    readonly text: string;
    readonly score: number;
    /** Corners, clockwise, from the beginning of the text, in pixels of the upright picture. */
    readonly box: readonly (readonly [x: number, y: number])[];
  }[];
}

/** A row of a table: values in the order of its columns, or by their names. */
export type Row = readonly number[] | Readonly<Record<string, number>>;

export interface TaskType<One, Output, OfRaw = Output, Batch = readonly One[]> {
  one: One;
  batch: Batch;
  /** To one input. */
  output: Output;
  /** To a raw body. */
  ofRaw: OfRaw;
}

/** What each task takes and answers. Bytes may come raw, or as a string of base64. */
export interface TaskTypes<Label extends string> {
  embedding: TaskType<string, number[]>;
  "byte-classification": TaskType<string, LabelScore<Label>[]>;
  "language-identification": TaskType<string, LabelScore<Label>[]>;
  "image-classification": TaskType<string, LabelScore<Label>[]>;
  "text-recognition": TaskType<string, RecognizedText[]>;
  "speech-activity": TaskType<string, SpeechSegment[], SpeechSegment[], never>;
  "tabular-classification": TaskType<Row, LabelScore<Label>[], LabelScore<Label>[][]>;
}

type TaskOf<M> = M extends { readonly task: infer T; readonly labels: infer L extends string }
  ? T extends keyof TaskTypes<string>
    ? TaskTypes<L>[T]
    : TaskType<unknown, unknown>
  : TaskType<unknown, unknown>;

/** What `predict` takes. */
export type InputOf<M> = TaskOf<M>["one"] | TaskOf<M>["batch"] | RawInput;

/** What `predict` answers: one result, or an array of them for an array of inputs. */
export type OutputOf<M, Input> = unknown extends TaskOf<M>["output"]
  ? unknown
  : Input extends RawInput
    ? TaskOf<M>["ofRaw"]
    : Input extends TaskOf<M>["one"]
      ? TaskOf<M>["output"]
      : TaskOf<M>["output"][];
