import type { Catalog, FlagSet } from "../catalog/catalog.ts";
import type { FlagProvider } from "./flag-provider.ts";
import { flagdProvider } from "./flagd.ts";

export interface FlagStats {
  /** Requests whose flag was of no use: `stable` answered them. */
  readonly fallbacks: number;
  /** Catalogs whose flags could not be read. */
  readonly brokenSets: number;
}

/** The evaluator of each catalog that this isolate uses: made once, when its first request needs it. */
export class FlagProviders {
  readonly #make: (flags: FlagSet) => FlagProvider;
  readonly #onFault: (cause: unknown) => void;
  readonly #byCatalog = new WeakMap<Catalog, { readonly provider: FlagProvider | undefined }>();
  #fallbacks = 0;
  #brokenSets = 0;

  /** @param make another provider than flagd's, from the catalog's flags */
  constructor(
    onFault: (cause: unknown) => void,
    make: (flags: FlagSet) => FlagProvider = flagdProvider,
  ) {
    this.#onFault = onFault;
    this.#make = make;
  }

  /** Undefined when the catalog has no flags, or none that can be read. */
  of(catalog: Catalog): FlagProvider | undefined {
    const known = this.#byCatalog.get(catalog);
    if (known !== undefined) return known.provider;
    const provider = this.#provider(catalog);
    this.#byCatalog.set(catalog, { provider });
    return provider;
  }

  countFallback(fault: unknown): void {
    this.#fallbacks++;
    this.#onFault(fault);
  }

  get stats(): FlagStats {
    return { fallbacks: this.#fallbacks, brokenSets: this.#brokenSets };
  }

  #provider({ flags }: Catalog): FlagProvider | undefined {
    if (flags === undefined) return undefined;
    try {
      return this.#make(flags);
    } catch (error) {
      this.#brokenSets++;
      this.#onFault(error);
      return undefined;
    }
  }
}
