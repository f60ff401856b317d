import type { CatalogSource } from "../catalog/catalog.ts";
import { type CatalogBucket } from "../catalog/changes.ts";
import { compile } from "../catalog/compile.ts";
import { NearsideError } from "../errors.ts";
import { chooseVersion } from "../routing/choose.ts";
import { FlagProviders } from "../routing/flag-providers.ts";

/** What share of callers gets what, by variant; `(stable)` are those whom no flag chooses for. */
export type Shares = Readonly<Record<string, Share>>;

export interface Share {
  /** Null when nobody is answered: the model or the version is switched off. */
  readonly version: number | null;
  readonly percent: number;
}

export interface FlagChoice {
  readonly version: number | null;
  readonly variant?: string;
  readonly reason: string;
}

/** As many callers tell a share to a tenth of a percent. */
export const SYNTHETIC_KEYS = 1000;
const BY_LABEL = "(stable)";

/** Chooses as the edge would. */
export type Chooser = (context: object) => Promise<FlagChoice>;

/** Makes the edge's choice for one model of a catalog. */
export async function chooserOf(
  bucket: CatalogBucket,
  source: CatalogSource,
  model: string,
): Promise<Chooser> {
  const entry = source.models[model];
  const catalog = await compile({ bucket }, { ...source, models: entry ? { [model]: entry } : {} });
  const provider = new FlagProviders(() => {}).of(catalog);
  return async (context) => {
    try {
      const { manifest, variant, reason } = await chooseVersion(
        catalog,
        { model },
        { context: { ...context, model } },
        provider,
      );
      return { version: manifest.version, ...(variant !== undefined && { variant }), reason };
    } catch (error) {
      if (!(error instanceof NearsideError)) throw error;
      return { version: null, reason: error.code.toUpperCase() };
    }
  };
}

/** What `keys` callers get who differ in their key alone. */
export async function sharesOf(
  choose: Chooser,
  keys = SYNTHETIC_KEYS,
  context: object = {},
): Promise<Shares> {
  const counts = new Map<string, { version: number | null; count: number }>();
  for (let key = 0; key < keys; key++) {
    const choice = await choose({ ...context, targetingKey: `key-${key}` });
    const name =
      choice.variant ?? (choice.version === null ? `(${choice.reason.toLowerCase()})` : BY_LABEL);
    const seen = counts.get(name) ?? { version: choice.version, count: 0 };
    seen.count++;
    counts.set(name, seen);
  }
  return Object.fromEntries(
    [...counts]
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([name, { version, count }]) => [
        name,
        { version, percent: Math.round((count / keys) * 10_000) / 100 },
      ]),
  );
}
