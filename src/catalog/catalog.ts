import * as v from "valibot";

import { Price } from "../billing/price.ts";
import { OriginPool } from "../origin/pool.ts";
import { CorpusManifest } from "./corpus.ts";
import { isRecordKey, Manifest, ModelName, ModelVersion } from "./manifest.ts";

/** A movable name for a version. A label is never a number, so that a URL can take either. */
export const Label = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/), v.check(isRecordKey));

/** The label that a request follows when nothing else chooses. */
export const STABLE = "stable";

const VersionKey = v.pipe(v.string(), v.regex(/^[1-9][0-9]{0,14}$/));

/**
 * A flag of flagd (https://flagd.dev/reference/flag-definitions/), for the model of its name: which variant a
 * request gets. What the variants are is checked where flags are written; the edge falls back to `stable`.
 */
export const Flag = v.looseObject({
  state: v.picklist(["ENABLED", "DISABLED"]),
  variants: v.record(v.string(), v.unknown()),
  defaultVariant: v.optional(v.string()),
  targeting: v.optional(v.record(v.string(), v.unknown())),
});
export type Flag = v.InferOutput<typeof Flag>;

/** Flags by model, and the rules that they share by `$ref`. */
export const FlagSet = v.object({
  flags: v.record(ModelName, Flag),
  $evaluators: v.optional(v.record(v.string(), v.unknown())),
});
export type FlagSet = v.InferOutput<typeof FlagSet>;

/** Switched off at once, whatever flags and labels say. */
const Off = v.object({
  off: v.optional(v.boolean()),
  offVersions: v.optional(v.array(ModelVersion)),
});

/** The name of a pool of origins. */
export const PoolName = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
  v.check(isRecordKey),
);

/** The origin pool's own limits: wider than the edge's, because a server has a heap for each request. */
const MAX_ORIGIN_BATCH = 1024;
const MAX_ORIGIN_BODY_BYTES = 8 * 1024 * 1024;

/** What an isolate of the edge can hold of one request at all, beside the models; engines take no larger batches. */
const HIGHEST_ORIGIN_BODY_BYTES = 64 * 1024 * 1024;
const HIGHEST_ORIGIN_BATCH = 65_536;

const limit = (highest: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(highest));

/** Where a model's requests go that the edge does not answer. */
export const OriginRoute = v.strictObject({
  pool: PoolName,
  /** What the model is called there, where that is not its name here. */
  model: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(256))),
  /**
   * Whether its versions there have the numbers that they have here; otherwise the pool's own default answers, and
   * only for the version that is `stable`.
   */
  versioned: v.optional(v.boolean()),
  limits: v.optional(
    v.strictObject({
      maxBatch: v.optional(limit(HIGHEST_ORIGIN_BATCH), MAX_ORIGIN_BATCH),
      maxBodyBytes: v.optional(limit(HIGHEST_ORIGIN_BODY_BYTES), MAX_ORIGIN_BODY_BYTES),
    }),
    {},
  ),
});
export type OriginRoute = v.InferOutput<typeof OriginRoute>;

/** What requests cost. A price never changes: another takes its place from some time on. */
const Prices = v.optional(v.array(Price));

const Pools = v.optional(v.record(PoolName, OriginPool));

/** `catalog.json` in the bucket: the source of truth, replaced only if its etag still matches. */
export const CatalogSource = v.object({
  schema: v.literal(1),
  /** Counts every catalog ever written. */
  number: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  /** When it was written (ISO 8601), by whom, and what they changed. */
  at: v.optional(v.string()),
  by: v.optional(v.string()),
  change: v.optional(v.string()),
  models: v.record(
    ModelName,
    v.object({
      versions: v.array(ModelVersion),
      labels: v.record(Label, ModelVersion),
      origin: v.optional(OriginRoute),
      ...Off.entries,
    }),
  ),
  /** Corpora of vectors, by name. */
  corpora: v.optional(
    v.record(
      ModelName,
      v.object({ versions: v.array(ModelVersion), labels: v.record(Label, ModelVersion) }),
    ),
  ),
  pools: Pools,
  prices: Prices,
  flags: v.optional(FlagSet),
});
export type CatalogSource = v.InferOutput<typeof CatalogSource>;

/** The value that the edge reads: the source with every manifest in it, so that a cold model costs no further look-up. */
export const Catalog = v.object({
  schema: v.literal(1),
  number: CatalogSource.entries.number,
  models: v.record(
    ModelName,
    v.object({
      versions: v.record(VersionKey, Manifest),
      labels: v.record(Label, ModelVersion),
      origin: v.optional(OriginRoute),
      ...Off.entries,
    }),
  ),
  corpora: v.optional(
    v.record(
      ModelName,
      v.object({
        versions: v.record(VersionKey, CorpusManifest),
        labels: v.record(Label, ModelVersion),
      }),
    ),
  ),
  pools: Pools,
  prices: Prices,
  flags: v.optional(FlagSet),
});
export type Catalog = v.InferOutput<typeof Catalog>;
export type CatalogModel = Catalog["models"][string];
export type CatalogCorpus = NonNullable<Catalog["corpora"]>[string];

export const EMPTY_CATALOG: CatalogSource = { schema: 1, number: 0, models: {} };

/**
 * Compiles the source into what the edge reads.
 *
 * @param manifestOf the manifest of a version that the source lists
 * @param corpusOf the same of a corpus
 * @throws Error naming the label or version that does not hold together
 */
export function compileCatalog(
  source: CatalogSource,
  manifestOf: (model: string, version: number) => Manifest,
  corpusOf: (corpus: string, version: number) => CorpusManifest = unknownCorpus,
): Catalog {
  const models: Catalog["models"] = {};
  for (const [name, { versions, labels, ...rest }] of Object.entries(source.models)) {
    models[name] = {
      versions: manifestsOf(name, { versions, labels }, manifestOf),
      labels,
      ...rest,
    };
  }
  const corpora = source.corpora && compileCorpora(source.corpora, corpusOf);
  const { number, pools, prices, flags } = source;
  return v.parse(Catalog, {
    schema: 1,
    number,
    models,
    ...(corpora && { corpora }),
    ...(pools && { pools }),
    ...(prices && { prices }),
    ...(flags && { flags }),
  });
}

function compileCorpora(
  corpora: NonNullable<CatalogSource["corpora"]>,
  corpusOf: (corpus: string, version: number) => CorpusManifest,
): Catalog["corpora"] {
  return Object.fromEntries(
    Object.entries(corpora).map(([name, { versions, labels }]) => [
      name,
      { versions: manifestsOf(name, { versions, labels }, corpusOf), labels },
    ]),
  );
}

function unknownCorpus(corpus: string, version: number): never {
  throw new Error(`There is no manifest of the corpus ${corpus} ${version}.`);
}

/** Manifests by version, each with the name and number that it is listed under. */
function manifestsOf<M extends { readonly name: string; readonly version: number }>(
  name: string,
  { versions, labels }: Pick<CatalogSource["models"][string], "versions" | "labels">,
  manifestOf: (name: string, version: number) => M,
): Record<string, M> {
  const manifests: Record<string, M> = {};
  for (const version of versions) {
    const manifest = manifestOf(name, version);
    if (manifest.name !== name || manifest.version !== version) {
      throw new Error(
        `The manifest of ${name} ${version} calls itself ${manifest.name} ${manifest.version}.`,
      );
    }
    manifests[version] = manifest;
  }
  for (const [label, version] of Object.entries(labels)) {
    if (!(version in manifests)) {
      throw new Error(
        `The label "${label}" of ${name} names version ${version}, which is not published.`,
      );
    }
  }
  return manifests;
}

/** The catalog with one more version of a corpus in it, labelled as `withVersion` labels a model's. */
export function withCorpusVersion(
  source: CatalogSource,
  { name, version }: Pick<CorpusManifest, "name" | "version">,
  label?: string,
): CatalogSource {
  const { versions, labels } = source.corpora?.[name] ?? { versions: [], labels: {} };
  const moved = label ?? (labels[STABLE] === undefined ? STABLE : undefined);
  const corpus = {
    versions: [...new Set([...versions, version])].sort((a, b) => a - b),
    labels: moved === undefined ? labels : { ...labels, [moved]: version },
  };
  return { ...source, corpora: { ...source.corpora, [name]: corpus } };
}

/** The catalog with another flag for a model, or with none. */
export function withFlag(
  source: CatalogSource,
  model: string,
  flag: Flag | undefined,
): CatalogSource {
  const { [model]: _, ...others } = source.flags?.flags ?? {};
  const flags = flag === undefined ? others : { ...source.flags?.flags, [model]: flag };
  return { ...source, flags: { ...source.flags, flags } };
}

/** The catalog with one more version in it, labelled `stable` when the model has no stable version or `label` says so. */
export function withVersion(
  source: CatalogSource,
  manifest: Manifest,
  label?: string,
): CatalogSource {
  const { versions, labels, ...rest } = source.models[manifest.name] ?? {
    versions: [],
    labels: {},
  };
  const moved = label ?? (labels[STABLE] === undefined ? STABLE : undefined);
  return {
    ...source,
    models: {
      ...source.models,
      [manifest.name]: {
        versions: [...new Set([...versions, manifest.version])].sort((a, b) => a - b),
        labels: moved === undefined ? labels : { ...labels, [moved]: manifest.version },
        ...rest,
      },
    },
  };
}
