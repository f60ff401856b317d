import type { BlobRef, Manifest } from "../../catalog/manifest.ts";
import { graphOf } from "../../catalog/members.ts";
import { createSession } from "../../runtime/create-session.ts";
import { startOrt } from "../../runtime/ort-module.ts";
import { blobKey } from "../../store/layout.ts";
import { runHere } from "../../tasks/drive.ts";
import { embed, embedding } from "../../tasks/embedding.ts";
import { edgeLimits, type TaskLimits } from "../../tasks/limits.ts";
import type { ManifestOf } from "../../tasks/task.ts";
import { TextTokenizer } from "../../tasks/tokenizer.ts";
import type { PublishBucket } from "../bucket.ts";
import { PublishError } from "../error.ts";
import { runtimeModule } from "../runtime.ts";
import { VectorStore } from "./vector-store.ts";

/** A published version of a model, for texts. */
export interface Embedder {
  /** @throws NearsideError for a text that the model does not take; its field is `inputs[<index>]` */
  embed(texts: readonly string[]): Promise<readonly Float32Array[]>;
}

/** Texts of one call: longer ones are not padded for. */
export const EMBED_TEXTS = 64;

/** @throws PublishError `bad_corpus` for a model that makes no embeddings */
export function embeddingManifest(manifest: Manifest): ManifestOf<"embedding"> {
  const { name, version, task } = manifest;
  if (task.type === "embedding") return { ...manifest, task };
  throw new PublishError("bad_corpus", `${name} ${version} makes no embeddings.`);
}

/**
 * Runs a version's own graph in the edge's own WASM, so that a corpus has the vectors that requests will be
 * compared by. What was computed before on this machine is not computed again.
 *
 * @param folder where vectors are kept
 */
export async function openEmbedder(
  manifest: ManifestOf<"embedding">,
  bucket: Pick<PublishBucket, "get">,
  folder?: string,
): Promise<Embedder> {
  const kept = await VectorStore.open(manifest, manifest.task.dimensions, folder);
  // Nothing that was sent to an edge bounds it here.
  const limits: TaskLimits = {
    ...edgeLimits(manifest),
    maxBatch: EMBED_TEXTS,
    requestTokens: Number.POSITIVE_INFINITY,
  };
  let compute: Promise<(texts: readonly string[]) => readonly Float32Array[]> | undefined;
  return {
    async embed(texts) {
      const missing = [...new Set(texts.filter((text) => kept.get(text) === undefined))];
      if (missing.length > 0) {
        compute ??= openSession(manifest, bucket, limits);
        await kept.add(missing, (await compute)(missing));
      }
      return texts.map((text) => kept.get(text) ?? new Float32Array());
    },
  };
}

async function openSession(
  manifest: ManifestOf<"embedding">,
  bucket: Pick<PublishBucket, "get">,
  limits: TaskLimits,
): Promise<(texts: readonly string[]) => readonly Float32Array[]> {
  const { weights, assets, task } = manifest;
  const read = async (ref: BlobRef | undefined): Promise<Uint8Array<ArrayBuffer>> => {
    const stored = ref && (await bucket.get(blobKey(ref.digest)));
    if (stored) return new Uint8Array(await stored.arrayBuffer());
    throw new PublishError(
      "bad_corpus",
      `A file of ${manifest.name} ${manifest.version} is missing: nearside verify ${manifest.name}`,
    );
  };
  const tokenizer = new TextTokenizer(await read(assets[task.tokenizer]));
  const instance = await startOrt(await runtimeModule(), () => true);
  const session = createSession(instance, {
    graph: await read(graphOf(manifest)),
    ...(weights && { weights: { name: weights.name, data: await read(weights) } }),
  });
  return (texts) => {
    const request = { kind: "json", inputs: texts, parameters: {} } as const;
    const input = embedding.decode(request, manifest, limits);
    const { vectors } = runHere(embed(tokenizer, input, manifest, limits), session);
    // Views of what one run has put out: kept, they would keep all of it.
    return vectors.map((vector) => Float32Array.from(vector));
  };
}
