import * as v from "valibot";

/**
 * A client of the Open Inference Protocol, version 2 over REST, written from the published document
 * (open-inference-protocol/specification/protocol/inference_rest.md) and Triton's extension_binary_data.md alone:
 * each object below is named as there, and has its fields.
 */
const Shape = v.array(v.pipe(v.number(), v.integer(), v.minValue(-1)));
const Parameters = v.record(v.string(), v.union([v.string(), v.number(), v.boolean()]));

const HealthLive = v.object({ live: v.boolean() });
const ModelReady = v.object({ name: v.string(), ready: v.boolean() });
const MetadataServer = v.object({
  name: v.string(),
  version: v.string(),
  extensions: v.array(v.string()),
});
const MetadataTensor = v.object({ name: v.string(), datatype: v.string(), shape: Shape });
const MetadataModel = v.object({
  name: v.string(),
  versions: v.optional(v.array(v.string())),
  platform: v.string(),
  inputs: v.array(MetadataTensor),
  outputs: v.array(MetadataTensor),
});
const ErrorResponse = v.object({ error: v.string() });
const ResponseOutput = v.object({
  name: v.string(),
  shape: Shape,
  datatype: v.string(),
  parameters: v.optional(Parameters),
  data: v.optional(v.array(v.union([v.number(), v.string(), v.boolean()]))),
});
const InferenceResponse = v.object({
  model_name: v.string(),
  model_version: v.optional(v.string()),
  id: v.optional(v.string()),
  parameters: v.optional(Parameters),
  outputs: v.array(ResponseOutput),
});

export interface RequestInput {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly data?: readonly unknown[];
}

export interface InferenceRequest {
  readonly id?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly inputs: readonly RequestInput[];
  readonly outputs?: readonly {
    readonly name: string;
    readonly parameters?: Readonly<Record<string, unknown>>;
  }[];
}

export interface InferenceAnswer extends v.InferOutput<typeof InferenceResponse> {
  /** Of the outputs that came as bytes, by name. */
  readonly bytes: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
}

/** An answer that is no success. */
export class V2Error extends Error {
  override readonly name = "V2Error";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const HEADER_LENGTH = "inference-header-content-length";

export class V2Client {
  readonly #url: string;

  /** @param url of the server, without `/v2` */
  constructor(url: string) {
    this.#url = url;
  }

  serverLive() {
    return this.#get("v2/health/live", HealthLive);
  }

  serverReady() {
    return this.#get("v2/health/ready", HealthLive);
  }

  serverMetadata() {
    return this.#get("v2", MetadataServer);
  }

  modelReady(model: string, version?: string) {
    return this.#get(`${pathOf(model, version)}/ready`, ModelReady);
  }

  modelMetadata(model: string, version?: string) {
    return this.#get(pathOf(model, version), MetadataModel);
  }

  /**
   * @param binary bytes of inputs, by name: they follow the JSON, and those inputs have no `data`
   */
  async infer(
    model: string,
    request: InferenceRequest,
    binary: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {},
    version?: string,
  ): Promise<InferenceAnswer> {
    const inputs = request.inputs.map((input) => {
      const bytes = binary[input.name];
      if (bytes === undefined) return input;
      return { ...input, parameters: { ...input.parameters, binary_data_size: bytes.length } };
    });
    const header = new TextEncoder().encode(JSON.stringify({ ...request, inputs }));
    const tensors = request.inputs.flatMap(({ name }) => binary[name] ?? []);
    const response = await fetch(`${this.#url}/${pathOf(model, version)}/infer`, {
      method: "POST",
      headers:
        tensors.length === 0
          ? { "content-type": "application/json" }
          : {
              "content-type": "application/octet-stream",
              [HEADER_LENGTH]: String(header.length),
            },
      body: new Blob([header, ...tensors]),
    });
    return answerOf(response);
  }

  async #get<T>(path: string, schema: v.GenericSchema<unknown, T>): Promise<T> {
    const response = await fetch(`${this.#url}/${path}`);
    const json: unknown = await response.json();
    if (response.status !== 200) throw errorOf(response, json);
    return v.parse(schema, json);
  }
}

function pathOf(model: string, version?: string): string {
  return `v2/models/${model}${version === undefined ? "" : `/versions/${version}`}`;
}

async function answerOf(response: Response): Promise<InferenceAnswer> {
  const whole = new Uint8Array(await response.arrayBuffer());
  const length = Number(response.headers.get(HEADER_LENGTH) ?? whole.length);
  const json: unknown = JSON.parse(new TextDecoder().decode(whole.subarray(0, length)));
  if (response.status !== 200) throw errorOf(response, json);
  const answer = v.parse(InferenceResponse, json);
  const bytes: Record<string, Uint8Array<ArrayBuffer>> = {};
  let at = length;
  for (const { name, parameters, data } of answer.outputs) {
    const size = parameters?.["binary_data_size"];
    if ((size === undefined) === (data === undefined)) {
      throw new Error(`The output ${name} must come either as JSON or as bytes.`);
    }
    if (typeof size !== "number") continue;
    bytes[name] = whole.slice(at, at + size);
    at += size;
  }
  if (at !== whole.length) throw new Error(`${whole.length - at} bytes belong to no output.`);
  return { ...answer, bytes };
}

function errorOf({ status }: Response, json: unknown): V2Error {
  return new V2Error(status, v.parse(ErrorResponse, json).error);
}
