import type { Manifest } from "../catalog/manifest.ts";
import { memberName } from "../catalog/members.ts";
import { NearsideError } from "../errors.ts";
import {
  BINARY_MEDIA_TYPE,
  decodeBinaryResponse,
  encodeBinaryRequest,
  HEADER_LENGTH,
} from "../protocol/open-inference/binary.ts";
import type { Tensor } from "../runtime/tensor.ts";
import { callOrigin, type OriginCaller } from "./call-origin.ts";
import { answerLimit, misfitOf } from "./tensor-answer.ts";

/** Where a model's tensors go, by the Open Inference Protocol; those of a member to a model of its own. */
export function inferPath(
  { route }: OriginCaller,
  { name, version }: Manifest,
  member?: string,
): string {
  const whole = route.model ?? name;
  const served = member === undefined ? whole : memberName(whole, member);
  const model = `v2/models/${encodeURIComponent(served)}`;
  return route.versioned === true ? `${model}/versions/${version}/infer` : `${model}/infer`;
}

/** A model's session in the origin pool: the same tensors go there and come back, as bytes. */
export class RemoteSession {
  readonly #caller: OriginCaller;
  readonly #manifest: Manifest;
  readonly #onAnswer: (headers: Headers) => void;
  readonly #member: string | undefined;

  constructor(
    caller: OriginCaller,
    manifest: Manifest,
    onAnswer: (headers: Headers) => void = () => {},
    member?: string,
  ) {
    this.#caller = caller;
    this.#manifest = manifest;
    this.#onAnswer = onAnswer;
    this.#member = member;
  }

  /** One graph of an ensemble, which a pool serves as the model `<name>_<member>`. @throws when there is none of that name */
  member(name: string): RemoteSession {
    const member = this.#manifest.members?.[name];
    if (member === undefined) throw new Error(`"${this.#manifest.name}" has no graph "${name}".`);
    return new RemoteSession(
      this.#caller,
      { ...this.#manifest, inputs: member.inputs, outputs: member.outputs },
      this.#onAnswer,
      name,
    );
  }

  /**
   * @param feeds every input of the graph, by name
   * @returns every output of the graph, by name
   * @throws NearsideError `origin_…`, `deadline_exceeded`
   */
  async run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const { outputs } = this.#manifest;
    const { body, headerLength } = encodeBinaryRequest({
      inputs: feeds,
      outputs: outputs.map(({ name }) => name),
    });
    const response = await callOrigin(this.#caller, {
      path: inferPath(this.#caller, this.#manifest, this.#member),
      body,
      headers: {
        "content-type": BINARY_MEDIA_TYPE,
        accept: `${BINARY_MEDIA_TYPE}, application/json`,
        [HEADER_LENGTH]: String(headerLength),
      },
      idempotent: true,
    });
    this.#onAnswer(response.headers);
    const shapes = Object.fromEntries(
      Object.entries(feeds).map(([name, { shape }]) => [name, shape]),
    );
    const bytes = await response.bytes(answerLimit(this.#manifest, shapes));
    const length = response.headers.get(HEADER_LENGTH);
    const tensors = decodeBinaryResponse(bytes, length === null ? undefined : Number(length));
    const misfit = misfitOf(this.#manifest, feeds, tensors);
    if (misfit === undefined) return tensors;
    throw new NearsideError("origin_failed", "The origin's answer can't be used.", {
      cause: misfit,
    });
  }
}
