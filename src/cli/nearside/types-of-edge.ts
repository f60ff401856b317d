import * as v from "valibot";

import { TensorSpec } from "../../catalog/manifest.ts";
import { Caller } from "../../client/caller.ts";
import { NearsideError } from "../../client/error.ts";
import { UserError } from "../user-error.ts";
import type { TypedModel } from "./types.ts";

const Index = v.array(v.object({ name: v.string(), version: v.string() }));
const Metadata = v.object({ inputs: v.array(TensorSpec), outputs: v.array(TensorSpec) });

/**
 * What an edge tells of its models to whoever may list them: names, versions and tensors.
 *
 * @param key where the edge asks for one
 * @throws UserError when it does not answer
 */
export async function modelsOfEdge(url: string, key: string | undefined): Promise<TypedModel[]> {
  const caller = new Caller({ baseUrl: url, key });
  const ask = async <S extends v.GenericSchema>(
    schema: S,
    path: string,
    body?: Uint8Array<ArrayBuffer>,
  ): Promise<v.InferOutput<S>> => {
    const { response } = await caller.call({ path, body, kind: "safe" }, {});
    return v.parse(schema, JSON.parse(new TextDecoder().decode(response)));
  };
  try {
    const index = await ask(Index, "/v2/repository/index", new Uint8Array());
    const names = [...new Set(index.map(({ name }) => name))];
    return await Promise.all(
      names.map(async (name) => {
        const numbers = index.flatMap((one) => (one.name === name ? [Number(one.version)] : []));
        const { inputs, outputs } = await ask(Metadata, `/v2/models/${name}`);
        return { name, versions: [...numbers, "stable"], inputs, outputs };
      }),
    );
  } catch (cause) {
    const isRefusal = cause instanceof NearsideError && cause.status !== undefined;
    const hint =
      isRefusal && cause.status < 404 ? " NEARSIDE_KEY takes a key that may list models." : "";
    const words = isRefusal
      ? `refuses: ${cause.message}${hint}`
      : "does not answer as an edge does.";
    throw new UserError(`${url} ${words}`, { cause });
  }
}
