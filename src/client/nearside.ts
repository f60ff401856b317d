import { type Call, callOf } from "./call.ts";
import { Caller, type CallOptions, type NearsideOptions, type Reply } from "./caller.ts";
import { NearsideError, jsonOf } from "./error.ts";
import type { AnyModels, InputOf, NameOf, OutputOf, RawInput, VersionOf } from "./models.ts";
import type {
  InferOptions,
  ListedVersion,
  Match,
  PredictOptions,
  SearchOptions,
} from "./options.ts";
import { type StreamInput, TextStream } from "./stream.ts";
import type { Datatype, Tensor, TensorInput } from "./tensor.ts";
import { HEADER_LENGTH, decodeTensors, encodeTensors } from "./tensors.ts";
import { JSON_TYPE, jsonBody, jsonText } from "./utf8.ts";

type TensorsOf<Types> = {
  readonly [Name in keyof Types]: Tensor<Extract<Types[Name], Datatype>>;
};

type InputsOf<Types> = {
  readonly [Name in keyof Types]: TensorInput<Extract<Types[Name], Datatype>>;
};

/**
 * A client of the edge, for browsers, Node and Workers.
 *
 * @example
 * import { Nearside } from "nearside/client";
 * import type { Models } from "./models.d.ts"; // which whoever runs the edge writes by `nearside types`
 *
 * const nearside = new Nearside<Models>({ baseUrl: "https://edge.example.com", key: "nsk_live_…" });
 * const vector = await nearside.embed("minilm", "Where is the nearest data centre?");
 */
export class Nearside<Models = AnyModels> {
  readonly #caller: Caller;

  constructor(options: NearsideOptions) {
    this.#caller = new Caller(options);
  }

  /**
   * Runs a model's task, on anything JSON can say or on a raw body.
   *
   * @example
   * await nearside.predict("guesslang", "def f(): pass", { parameters: { top_k: 1 } });
   * await nearside.predict("vad", file, { mediaType: "audio/wav" });
   */
  predict<Name extends NameOf<Models>, const Input extends InputOf<Models[Name]>>(
    model: Name,
    inputs: Input,
    options: PredictOptions<VersionOf<Models, Name>> = {},
  ): Call<OutputOf<Models[Name], Input>> {
    return this.#predict(model, inputs, options, (json) => json as OutputOf<Models[Name], Input>);
  }

  /** Embeds a text, or several. */
  embed<Name extends NameOf<Models, "embedding">, const Texts extends string | readonly string[]>(
    model: Name,
    texts: Texts,
    options: PredictOptions<VersionOf<Models, Name>> = {},
  ): Call<Texts extends string ? Float32Array : Float32Array[]> {
    return this.#predict(model, texts, options, (json) => {
      const vectors = typeof texts === "string" ? vectorOf(json) : listOf(json).map(vectorOf);
      return vectors as Texts extends string ? Float32Array : Float32Array[];
    });
  }

  /** Ranks a corpus by nearness to a text, best first; for several texts, once for each. */
  search<Name extends NameOf<Models, "embedding">, const Texts extends string | readonly string[]>(
    model: Name,
    texts: Texts,
    { corpus, top, filter, ...options }: SearchOptions<VersionOf<Models, Name>>,
  ): Call<Texts extends string ? Match[] : Match[][]> {
    return this.#predict(
      model,
      texts,
      { ...options, parameters: { corpus, top, filter } },
      (json) => {
        const found = typeof texts === "string" ? matchesOf(json) : listOf(json).map(matchesOf);
        return found as Texts extends string ? Match[] : Match[][];
      },
    );
  }

  /**
   * Runs a model's graph: tensors in, tensors out, as bytes both ways.
   *
   * @example
   * const { probabilities } = await nearside.infer("iris", {
   *   features: { shape: [1, 4], data: Float32Array.of(5.1, 3.5, 1.4, 0.2) },
   * });
   */
  infer<
    Name extends NameOf<Models>,
    Output extends keyof (Models[Name] & Graph)["outputs"] & string,
  >(
    model: Name,
    inputs: InputsOf<(Models[Name] & Graph)["inputs"]>,
    { outputs, version, ...options }: InferOptions<VersionOf<Models, Name>, Output> = {},
  ): Call<TensorsOf<Pick<(Models[Name] & Graph)["outputs"], Output>>> {
    const ask = async (): Promise<Reply> => {
      const { body, headerLength } = encodeTensors(
        inputs as Readonly<Record<string, TensorInput>>,
        outputs,
      );
      return this.#caller.call(
        {
          path: `/v2/models/${pathOf(model, version)}/infer`,
          body,
          headers: { "content-type": OCTETS, [HEADER_LENGTH]: String(headerLength) },
        },
        options,
      );
    };
    return callOf(ask(), ({ meta, response }) => {
      const length = meta.headers.get(HEADER_LENGTH);
      const tensors: unknown = decodeTensors(
        response,
        length === null ? undefined : Number(length),
      );
      return tensors as TensorsOf<Pick<(Models[Name] & Graph)["outputs"], Output>>;
    });
  }

  /**
   * Goes on with a conversation, or with a `prompt`, as text that comes as it is written.
   *
   * @throws NearsideError `invalid_input` at once, for what JSON can't say
   */
  stream<Name extends NameOf<Models, "text-generation">>(
    model: Name,
    input: StreamInput,
    options: Omit<CallOptions, "idempotencyKey"> = {},
  ): TextStream {
    const wire = {
      path: "prompt" in input ? "/v1/completions" : "/v1/chat/completions",
      body: jsonBody({ ...input, model, stream: true }),
      headers: { ...JSON_TYPE, accept: "text/event-stream" },
      kind: "stream",
    } as const;
    return new TextStream(() => this.#caller.open(wire, options));
  }

  /** Every version in the catalog. */
  models(options: CallOptions = {}): Call<ListedVersion[]> {
    const wire = {
      path: "/v2/repository/index",
      body: jsonBody({}),
      headers: JSON_TYPE,
      kind: "safe",
    } as const;
    return callOf(
      this.#caller.call(wire, options),
      (reply) => listOf(jsonIn(reply)) as ListedVersion[],
    );
  }

  #predict<T>(
    model: string,
    inputs: unknown,
    { parameters, version, mediaType, ...options }: PredictOptions<unknown>,
    read: (json: unknown) => T,
  ): Call<T> {
    const path = `/v1/predict/${pathOf(model, version)}`;
    const ask = async (): Promise<Reply> => {
      if (!isRaw(inputs)) {
        const body = jsonBody({ inputs, parameters });
        return this.#caller.call({ path, body, headers: JSON_TYPE }, options);
      }
      const ownType = inputs instanceof Blob ? inputs.type : "";
      return this.#caller.call(
        {
          path: path + queryOf(parameters),
          body: await bytesOf(inputs),
          headers: { "content-type": mediaType ?? (ownType || OCTETS) },
        },
        options,
      );
    };
    return callOf(ask(), (reply) => read(jsonIn(reply)));
  }
}

/** So that a model of which nothing is known has tensors of any name. */
interface Graph {
  readonly inputs: unknown;
  readonly outputs: unknown;
}

const OCTETS = "application/octet-stream";
const decoder = new TextDecoder();

function pathOf(model: string, version: unknown): string {
  const name = encodeURIComponent(model);
  return version === undefined ? name : `${name}/versions/${encodeURIComponent(String(version))}`;
}

/** A raw body's parameters: what JSON leaves out is left out here, too. */
function queryOf(parameters: Readonly<Record<string, unknown>> = {}): string {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => {
    const text = typeof value === "string" ? value : jsonText(value);
    return text === undefined ? [] : [[name, text]];
  });
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs)}`;
}

function isRaw(inputs: unknown): inputs is RawInput {
  return inputs instanceof Blob || inputs instanceof ArrayBuffer || ArrayBuffer.isView(inputs);
}

async function bytesOf(raw: RawInput): Promise<Uint8Array<ArrayBuffer>> {
  if (raw instanceof Blob) return new Uint8Array(await raw.arrayBuffer());
  if (raw instanceof ArrayBuffer) return new Uint8Array(raw);
  return Uint8Array.from(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength));
}

function jsonIn({ response }: Reply): unknown {
  const json = jsonOf(decoder.decode(response));
  if (json === undefined) throw new NearsideError("invalid_answer", "The answer is not JSON.");
  return json;
}

function listOf(json: unknown): readonly unknown[] {
  if (Array.isArray(json)) return json;
  throw new NearsideError("invalid_answer", "The answer is no list.");
}

function vectorOf(json: unknown): Float32Array {
  const numbers = listOf(json);
  if (numbers.every((one) => typeof one === "number")) return Float32Array.from(numbers);
  throw new NearsideError("invalid_answer", "The answer is no vector.");
}

function matchesOf(json: unknown): Match[] {
  const matches = listOf(json) as Match[];
  if (matches.every((one: Match | null) => typeof one?.id === "string")) return matches;
  throw new NearsideError("invalid_answer", "The answer is no list of matches.");
}
