import { createHash } from "node:crypto";

import { type Catalog, type CatalogModel, STABLE } from "../catalog/catalog.ts";
import { type CatalogBucket, readCatalogSource } from "../catalog/changes.ts";
import { compile } from "../catalog/compile.ts";
import type { BlobRef, Manifest } from "../catalog/manifest.ts";
import { graphOf, graphsOf, memberName } from "../catalog/members.ts";
import { NearsideError } from "../errors.ts";
import { blobKey } from "../store/layout.ts";
import { TextTokenizer } from "../tasks/tokenizer.ts";
import { type ModelFiles, OriginSession } from "./session.ts";

/** What the origin needs of a bucket: R2's own verbs. */
export interface OriginBucket extends CatalogBucket {
  get(key: string): Promise<{
    readonly etag: string;
    text(): Promise<string>;
    arrayBuffer(): Promise<ArrayBuffer>;
  } | null>;
}

/** A label that is moved counts after this time; what is not known is looked up at once. */
const CATALOG_MAX_AGE_MS = 1_000;

/** One line of the model repository's index. */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: "READY" | "LOADING" | "UNAVAILABLE";
  readonly reason?: string;
}

interface Loaded {
  /** Of the graph: what is published anew under the same number is another one. */
  readonly digest: string;
  readonly loading: Promise<OriginSession>;
  session?: OriginSession;
}

/** The models of the bucket: each version is loaded by its first request, or by `load`. */
export class OriginModels {
  readonly #bucket: OriginBucket;
  readonly #loaded = new Map<string, Loaded>();
  readonly #tokenizers = new Map<string, Promise<TextTokenizer>>();
  /** Names of models that an operator unloaded: no request brings them back. */
  readonly #unloaded = new Set<string>();
  #catalog: { readonly value: Catalog; readonly at: number } | undefined;

  constructor(bucket: OriginBucket) {
    this.#bucket = bucket;
  }

  /** @throws NearsideError `catalog_unavailable` */
  async catalog(maxAgeMs = CATALOG_MAX_AGE_MS): Promise<Catalog> {
    if (this.#catalog && performance.now() - this.#catalog.at < maxAgeMs) {
      return this.#catalog.value;
    }
    try {
      const { source } = await readCatalogSource(this.#bucket);
      const known = this.#catalog?.value;
      const value =
        known?.number === source.number ? known : await compile({ bucket: this.#bucket }, source);
      this.#catalog = { value, at: performance.now() };
      return value;
    } catch (cause) {
      throw new NearsideError("catalog_unavailable", "The catalog can't be read.", { cause });
    }
  }

  /** A member of an ensemble is a model with the ensemble's versions. @throws NearsideError `model_not_found` */
  async model(name: string): Promise<CatalogModel> {
    const model = await this.#lookUp(
      ({ models }) => own(models, name) ?? ensembleOf(models, name)?.model,
    );
    if (model !== undefined) return model;
    throw new NearsideError("model_not_found", `There is no model "${name.slice(0, 64)}" here.`, {
      field: "model",
    });
  }

  /**
   * The version that is asked for; without one `stable`, else the newest.
   *
   * @throws NearsideError `model_not_found`, `version_not_found`
   */
  async manifest(name: string, version?: string): Promise<Manifest> {
    const manifest = await this.#lookUp(
      ({ models }) =>
        versionOf(own(models, name), version) ?? ensembleOf(models, name, version)?.member,
    );
    if (manifest !== undefined) return manifest;
    await this.model(name);
    throw new NearsideError("version_not_found", `"${name}" has no such version here.`, {
      field: "version",
    });
  }

  /** What is not found may have been published a moment ago. */
  async #lookUp<T>(find: (catalog: Catalog) => T | undefined): Promise<T | undefined> {
    return find(await this.catalog()) ?? find(await this.catalog(0));
  }

  isUnloaded(name: string): boolean {
    return this.#unloaded.has(name);
  }

  /** Sessions that are ready. */
  get loadedCount(): number {
    return [...this.#loaded.values()].filter(({ session }) => session?.isClosed === false).length;
  }

  /** @throws NearsideError `model_unavailable` when it was unloaded, `model_damaged`, `model_load_failed` */
  async session(manifest: Manifest): Promise<OriginSession> {
    const { name } = manifest;
    if (this.#unloaded.has(name)) {
      throw new NearsideError(
        "model_unavailable",
        `"${name}" was unloaded: POST /v2/repository/models/${name}/load brings it back.`,
      );
    }
    const key = keyOf(manifest);
    const { digest } = originGraphOf(manifest);
    const known = this.#loaded.get(key);
    if (known?.digest === digest && known.session?.isClosed !== true) return known.loading;
    if (known) void this.#close(known);
    const loaded: Loaded = { digest, loading: this.#start(manifest) };
    this.#loaded.set(key, loaded);
    try {
      return (loaded.session = await loaded.loading);
    } catch (error) {
      if (this.#loaded.get(key) === loaded) this.#loaded.delete(key);
      throw error;
    }
  }

  /** The tokenizer among a version's assets. @throws NearsideError `model_damaged` */
  tokenizer({ assets }: Manifest, asset: string): Promise<TextTokenizer> {
    const ref = assets[asset];
    if (ref === undefined) {
      throw new NearsideError("model_damaged", "The model comes without its tokenizer.");
    }
    const known = this.#tokenizers.get(ref.digest);
    if (known) return known;
    const reading = this.#blob(ref).then((json) => new TextTokenizer(json));
    this.#tokenizers.set(ref.digest, reading);
    reading.catch(() => this.#tokenizers.delete(ref.digest));
    return reading;
  }

  /** Makes a model ready: the version that requests without one get. */
  async load(name: string): Promise<void> {
    const graphs = [...graphsOf(await this.manifest(name)).values()];
    for (const one of [name, ...graphs.map((graph) => graph.name)]) this.#unloaded.delete(one);
    await Promise.all(graphs.map((graph) => this.session(graph)));
  }

  /** Gives the memory of all versions back, once what was asked is answered. */
  async unload(name: string): Promise<void> {
    const graphs = graphsOf(await this.manifest(name)).values();
    const names = new Set([name, ...graphs.map((graph) => graph.name)]);
    for (const one of names) this.#unloaded.add(one);
    const loaded = [...this.#loaded].filter(([key]) => names.has(key.slice(0, key.indexOf("/"))));
    for (const [key] of loaded) this.#loaded.delete(key);
    await Promise.all(loaded.map(([, one]) => this.#close(one)));
  }

  async index(): Promise<IndexEntry[]> {
    const { models } = await this.catalog();
    return Object.values(models).flatMap(({ versions }) =>
      Object.values(versions).flatMap((manifest) =>
        [...graphsOf(manifest).values()].map((graph) => this.#entryOf(graph)),
      ),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#loaded.values()].map((loaded) => this.#close(loaded)));
    this.#loaded.clear();
  }

  #entryOf(manifest: Manifest): IndexEntry {
    const { name } = manifest;
    const place = { name, version: String(manifest.version) };
    const loaded = this.#loaded.get(keyOf(manifest));
    if (loaded?.session?.isClosed === false) return { ...place, state: "READY" };
    if (loaded !== undefined) return { ...place, state: "LOADING" };
    const reason = this.#unloaded.has(name) ? "unloaded" : "loaded by its first request";
    return { ...place, state: "UNAVAILABLE", reason };
  }

  async #start(manifest: Manifest): Promise<OriginSession> {
    const { originBuild, weights } = manifest;
    const graph = await this.#blob(originGraphOf(manifest));
    const files: ModelFiles =
      originBuild === undefined && weights !== undefined
        ? { graph, weights: { name: weights.name, data: await this.#blob(weights) } }
        : { graph };
    return OriginSession.start(files);
  }

  async #close({ loading }: Loaded): Promise<void> {
    const session = await loading.catch(() => undefined);
    await session?.close();
  }

  async #blob({ digest, bytes }: BlobRef): Promise<Uint8Array> {
    const stored = await this.#bucket.get(blobKey(digest));
    if (stored === null) {
      throw new NearsideError("model_damaged", "A file of the model is missing from the bucket.");
    }
    const data = new Uint8Array(await stored.arrayBuffer());
    const found = createHash("sha256").update(data).digest("hex");
    if (data.length === bytes && found === digest) return data;
    throw new NearsideError("model_damaged", "A file of the model is not what was published.");
  }
}

function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

const keyOf = ({ name, version }: Manifest): string => `${name}/${version}`;

const originGraphOf = (manifest: Manifest): BlobRef =>
  manifest.originBuild?.graph ?? graphOf(manifest);

/** The version that is asked for; without one `stable`, else the newest. */
function versionOf(model: CatalogModel | undefined, version?: string): Manifest | undefined {
  const { versions, labels } = model ?? { versions: {}, labels: {} };
  return own(versions, version ?? String(labels[STABLE] ?? Object.keys(versions).at(-1)));
}

/** The ensemble that has a member with this name, which it has where it is served as a model. */
function ensembleOf(
  models: Catalog["models"],
  name: string,
  version?: string,
): { readonly model: CatalogModel; readonly member: Manifest } | undefined {
  for (const [ensemble, model] of Object.entries(models)) {
    if (!name.startsWith(memberName(ensemble, ""))) continue;
    const manifest = versionOf(model, version);
    const graphs = manifest === undefined ? [] : [...graphsOf(manifest).values()];
    const member = graphs.find((graph) => graph.name === name);
    if (member !== undefined) return { model, member };
  }
  return undefined;
}
