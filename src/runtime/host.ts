import type { CorpusManifest } from "../catalog/corpus.ts";
import type { Manifest } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import { TrapError } from "./errors.ts";
import { MemoryBudget, type Holding, type WaitContext } from "./memory-budget.ts";
import { SharedLoad } from "./shared-load.ts";

/** What can be loaded: a model, or a corpus. */
export interface Resident {
  /** Absent for models. */
  readonly kind?: "corpus";
  readonly name: string;
  readonly version: number;
  readonly memory: Manifest["memory"];
}

/** What the host keeps of a loaded model, or corpus. */
export interface HostedModel {
  /** Linear memory of its instance, now. */
  readonly heapBytes: number;
  /** Set once the instance has trapped. */
  readonly trap: unknown;
  /** Whether it had better be loaded again, though it still runs. */
  readonly isSpent?: boolean;
  /** How it got ready: from its snapshot, or from its graph. */
  readonly start: "restored" | "loaded";
}

/** How a model got ready for the request that asks. */
export type Start = "warm" | HostedModel["start"];

/** What a request lends to the host. */
export interface HostContext {
  now(): number;
  /** Takes the milliseconds of each phase of a load. */
  readonly timing?: { add(phase: string, milliseconds: number): void };
  waitUntil(promise: Promise<unknown>): void;
  /** A guest takes only room that is free: no model leaves for it, and its own is the first to leave. */
  readonly isGuest?: boolean;
}

export interface LoadContext extends HostContext {
  /** To be called whenever the load has moved on. @throws when another request has taken the load over */
  onProgress(): void;
  onPhase(name: string, milliseconds: number): void;
  /** Reserves memory that only the load needs, beside what the model will hold. @throws NearsideError `isolate_over_budget` */
  stage(bytes: number): Promise<void>;
  /** What a load makes once: where it took over from one that went quiet, it gets what that has made, and uses no more. */
  shared<T>(make: () => T): T;
  /** The host's answer to growth of the instance's memory. */
  mayGrow(newHeapBytes: number): boolean;
}

export interface HostOptions<M extends HostedModel, C extends HostedModel = HostedModel> {
  readonly budgetBytes: number;
  load(manifest: Manifest, context: LoadContext): Promise<M>;
  loadCorpus?(manifest: CorpusManifest, context: LoadContext): Promise<C>;
  /** Overrides for tests of time. */
  readonly stallMs?: number;
  readonly admissionMs?: number;
}

export interface HostStats {
  readonly budgetBytes: number;
  /** Everything held or reserved, task tables included. */
  readonly heldBytes: number;
  /** Corpora among them. */
  readonly models: readonly {
    readonly kind?: "corpus";
    readonly name: string;
    readonly version: number;
    readonly state: "loading" | "loaded";
    readonly bytes: number;
    readonly users: number;
  }[];
  readonly loads: number;
  readonly evictions: number;
  readonly traps: number;
  readonly failures: number;
  /** Loads continued by a waiting request because the one that began them went quiet. */
  readonly takeovers: number;
}

/** A load that shows no progress for this long is taken over by a request that waits for it. */
const STALL_MS = 3_000;

/** How long a load waits for models in use to become idle before it gives up. */
const ADMISSION_MS = 5_000;

/** A failed load is answered from memory for this long; doubled for each failure in a row, up to the most. */
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 8_000;

/**
 * A model just loaded is kept for the requests that wait for it: evicted before their turn it would be
 * loaded again, and two such models could evict each other for ever. A waiter that was cancelled never
 * comes, so this ends.
 */
const WAITERS_TURN_MS = 1_000;

interface Entry<M> {
  readonly manifest: Resident;
  readonly begin: (context: LoadContext) => Promise<M>;
  readonly holding: Holding;
  readonly load: SharedLoad;
  /** What all attempts at the load share: a second memory would stand in no account. */
  shared: unknown;
  model: M | undefined;
  loadedAt: number;
  users: number;
  /** Nobody but a guest has used it lately, or waits for it. */
  isGuest: boolean;
  /** Requests that wait for the load, those among them that were cancelled too. */
  waiters: number;
}

interface Failure {
  readonly error: NearsideError;
  readonly until: number;
  readonly row: number;
}

/**
 * The loaded models and corpora of one isolate: each loaded once however many requests wait, each in a WASM instance
 * of its own, their memory together under a budget, the least recently used one dropped first.
 *
 * WASM memory never shrinks, so dropping the instance is the only way to give memory back; an instance
 * in use is never dropped.
 */
export class ModelHost<M extends HostedModel, C extends HostedModel = HostedModel> {
  readonly #options: HostOptions<M, C>;
  readonly #budget: MemoryBudget;
  /** In order of last use, the oldest first. */
  readonly #entries = new Map<string, Entry<HostedModel>>();
  readonly #failed = new Map<string, Failure>();
  /** The latest time that any request has told. */
  #now = 0;
  #loads = 0;
  #evictions = 0;
  #traps = 0;
  #failures = 0;
  #takeovers = 0;

  constructor(options: HostOptions<M, C>) {
    this.#options = options;
    this.#budget = new MemoryBudget(
      options.budgetBytes,
      () => this.#evictOldest(),
      () => this.#idleBytes(),
    );
  }

  /**
   * Calls `use` with the model, loaded if need be. The instance stays while `use` runs.
   *
   * @throws NearsideError `model_too_large` before anything is fetched; `isolate_over_budget`; what loading threw
   */
  use<T>(
    manifest: Manifest,
    context: HostContext,
    use: (model: M, start: Start) => T | Promise<T>,
  ): Promise<T> {
    const begin = (load: LoadContext): Promise<M> => this.#options.load(manifest, load);
    return this.#use(manifest, begin, context, use);
  }

  /** The same with a corpus. @throws the same */
  useCorpus<T>(
    manifest: CorpusManifest,
    context: HostContext,
    use: (corpus: C, start: Start) => T | Promise<T>,
  ): Promise<T> {
    const begin = async (load: LoadContext): Promise<C> => {
      if (this.#options.loadCorpus === undefined) throw new Error("This host holds no corpora.");
      return this.#options.loadCorpus(manifest, load);
    };
    return this.#use(manifest, begin, context, use);
  }

  async #use<H extends HostedModel, T>(
    manifest: Resident,
    begin: (context: LoadContext) => Promise<H>,
    context: HostContext,
    use: (model: H, start: Start) => T | Promise<T>,
  ): Promise<T> {
    const key = keyOf(manifest);
    this.#now = context.now();
    let entry = this.#entries.get(key);
    const isWarm = entry?.model !== undefined;
    if (entry?.model === undefined) entry = await this.#loaded(key, manifest, begin, context);
    else entry.users++;
    // What stands under a key was made by the `begin` of its kind.
    const model = entry.model as H | undefined;
    if (model === undefined) throw new Error(`${key} has settled without a model.`);

    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.isGuest = context.isGuest === true;
    try {
      return await use(model, isWarm ? "warm" : model.start);
    } finally {
      entry.users--;
      if (model.trap !== undefined) this.#dropTrapped(key, entry);
      else if (model.isSpent === true && entry.users === 0) this.#drop(key, entry);
      this.#budget.changed();
    }
  }

  /** Drops a model that nobody uses. @returns false when it is in use or not loaded */
  unload(name: string, version: number): boolean {
    const key = `${name}/${version}`;
    const entry = this.#entries.get(key);
    if (entry?.model === undefined || entry.users > 0) return false;
    this.#drop(key, entry);
    this.#budget.changed();
    return true;
  }

  /** Whether these can be held at all, with nothing beside them. */
  fits(...residents: readonly Pick<Resident, "memory">[]): boolean {
    return residents.reduce((sum, one) => sum + bytesOf(one), 0) <= this.#budget.limit;
  }

  /** @throws NearsideError `model_too_large` where these can't be held even with nothing beside them */
  checkFits(...residents: readonly Pick<Resident, "name" | "memory">[]): void {
    if (this.fits(...residents)) return;
    const names = residents.map(({ name }) => name).join(" and ");
    const bytes = residents.reduce((sum, one) => sum + bytesOf(one), 0);
    throw new NearsideError(
      "model_too_large",
      `${names} ${residents.length > 1 ? "need" : "needs"} ${megabytes(bytes)} of memory${residents.length > 1 ? " together" : ""}; an edge isolate may use ${megabytes(this.#budget.limit)}.`,
    );
  }

  /** Whether a guest may come: the model is here, or fits beside everything that is. */
  hasRoomFor(manifest: Resident): boolean {
    return this.#entries.has(keyOf(manifest)) || this.#budget.isFree(bytesOf(manifest));
  }

  /** Whether a version is loaded, and nobody has to wait for it. */
  isLoaded(manifest: Resident): boolean {
    return this.#entries.get(keyOf(manifest))?.model !== undefined;
  }

  /** Whether a load of this version failed so recently that it would not be tried again now. */
  isFailing(name: string, version: number, now: number): boolean {
    const failure = this.#failed.get(`${name}/${version}`);
    return failure !== undefined && now < failure.until;
  }

  stats(): HostStats {
    return {
      budgetBytes: this.#budget.limit,
      heldBytes: this.#budget.held,
      models: [...this.#entries.values()].map(({ manifest, model, users, holding }) => ({
        ...(manifest.kind && { kind: manifest.kind }),
        name: manifest.name,
        version: manifest.version,
        state: model === undefined ? "loading" : "loaded",
        bytes: holding.bytes,
        users,
      })),
      loads: this.#loads,
      evictions: this.#evictions,
      traps: this.#traps,
      failures: this.#failures,
      takeovers: this.#takeovers,
    };
  }

  /** The entry once it is loaded, with the caller among its users already. */
  async #loaded(
    key: string,
    manifest: Resident,
    begin: Entry<HostedModel>["begin"],
    context: HostContext,
  ): Promise<Entry<HostedModel>> {
    for (;;) {
      this.#refuseIfFailing(key, context.now());
      const entry = this.#entries.get(key) ?? this.#begin(key, manifest, begin, context);
      if (entry.isGuest && context.isGuest !== true) this.#promote(entry);
      entry.waiters++;
      try {
        await entry.load.settled(context, () => {
          this.#takeovers++;
          this.#attempt(key, entry, context);
        });
      } finally {
        entry.waiters--;
      }
      if (this.#entries.get(key) === entry && entry.model !== undefined) {
        entry.users++;
        return entry;
      }
      // This request's turn came so late that the model was evicted again: once more.
    }
  }

  #begin(
    key: string,
    manifest: Resident,
    begin: Entry<HostedModel>["begin"],
    context: HostContext,
  ): Entry<HostedModel> {
    this.checkFits(manifest);
    const entry: Entry<HostedModel> = {
      manifest,
      begin,
      holding: this.#budget.open(() => !entry.isGuest),
      load: new SharedLoad(this.#options.stallMs ?? STALL_MS),
      shared: undefined,
      model: undefined,
      loadedAt: 0,
      users: 0,
      isGuest: context.isGuest === true,
      waiters: 0,
    };
    this.#entries.set(key, entry);
    this.#attempt(key, entry, context);
    return entry;
  }

  /** Loads within `context`; the load goes on after that request has ended or was cancelled. */
  #attempt(key: string, entry: Entry<HostedModel>, context: HostContext): void {
    const { manifest, holding, load } = entry;
    const attempt = load.begin(context.now());
    const run = async (): Promise<void> => {
      try {
        const now = (): number => (this.#now = context.now());
        const onProgress = (): void => attempt.progress(now());
        const settled = bytesOf(manifest);
        const reserve = (bytes: number): Promise<void> =>
          this.#reserve(entry, settled + bytes, { now, onProgress });
        await reserve(0);
        onProgress();
        this.#loads++;
        const model = await entry.begin({
          now,
          onProgress,
          waitUntil: (promise) => context.waitUntil(promise),
          onPhase: (name, milliseconds) => context.timing?.add(name, milliseconds),
          stage: reserve,
          shared: <T>(make: () => T) => (entry.shared ??= make()) as T,
          mayGrow: (heapBytes) => attempt.isCurrent() && mayGrow(entry, heapBytes),
        });
        if (!attempt.isCurrent()) return;
        // From the reservation to what it really took, staged weights no longer among it.
        holding.resize(model.heapBytes + manifest.memory.taskBytes);
        entry.shared = undefined;
        entry.model = model;
        entry.loadedAt = now();
        this.#failed.delete(key);
        load.settle(attempt);
      } catch (error) {
        if (!attempt.isCurrent()) return;
        this.#drop(key, entry);
        this.#remember(key, error, context.now());
        load.settle(attempt, asNearsideError(error));
      } finally {
        this.#budget.changed();
      }
    };
    context.waitUntil(run());
  }

  async #reserve(
    { manifest, holding }: Entry<HostedModel>,
    bytes: number,
    context: WaitContext,
  ): Promise<void> {
    const reserved = await this.#budget.reserve(
      holding,
      // What a load alone needs may be more than there is; then it has all there is.
      Math.min(bytes, this.#budget.limit),
      context.now() + (this.#options.admissionMs ?? ADMISSION_MS),
      context,
    );
    if (reserved) return;
    throw new NearsideError(
      "isolate_over_budget",
      `There is no room for ${manifest.name} here while other models are busy.`,
      { retryAfterSeconds: 1 },
    );
  }

  /** A caller waits for what a guest began to load: for them others leave. */
  #promote(entry: Entry<HostedModel>): void {
    entry.isGuest = false;
    this.#budget.changed();
  }

  /** Guests' models go first. */
  #evictOldest(): boolean {
    const idle = [...this.#entries].filter(([, entry]) => this.#isIdle(entry));
    const found = idle.find(([, { isGuest }]) => isGuest) ?? idle[0];
    if (found === undefined) return false;
    this.#drop(...found);
    this.#evictions++;
    return true;
  }

  #idleBytes(): number {
    let bytes = 0;
    for (const entry of this.#entries.values()) {
      if (this.#isIdle(entry)) bytes += entry.holding.bytes;
    }
    return bytes;
  }

  #isIdle({ model, users, waiters, loadedAt }: Entry<HostedModel>): boolean {
    const isAwaited = waiters > 0 && this.#now - loadedAt < WAITERS_TURN_MS;
    return model !== undefined && users === 0 && !isAwaited;
  }

  #dropTrapped(key: string, entry: Entry<HostedModel>): void {
    if (this.#entries.get(key) !== entry) return;
    this.#traps++;
    this.#drop(key, entry);
  }

  #drop(key: string, entry: Entry<HostedModel>): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
    entry.holding.close();
    if (entry.users === 0) entry.model = undefined;
  }

  #refuseIfFailing(key: string, now: number): void {
    const failure = this.#failed.get(key);
    if (failure === undefined || now >= failure.until) return;
    const { code, message, field } = failure.error;
    // Without its cause, which was logged when it failed: not once more for every request.
    throw new NearsideError(code, message, {
      ...(field === undefined ? {} : { field }),
      retryAfterSeconds: Math.ceil((failure.until - now) / 1000),
    });
  }

  #remember(key: string, error: unknown, now: number): void {
    this.#failures++;
    // Being full is over as soon as somebody is done: nothing to remember.
    if (error instanceof NearsideError && error.code === "isolate_over_budget") return;
    const row = (this.#failed.get(key)?.row ?? 0) + 1;
    const backoff = Math.min(BACKOFF_MS * 2 ** (row - 1), BACKOFF_MAX_MS);
    this.#failed.set(key, { error: asNearsideError(error), until: now + backoff, row });
  }
}

/** A model's name has no slash. */
function keyOf({ kind, name, version }: Omit<Resident, "memory">): string {
  return `${kind === undefined ? "" : `${kind}/`}${name}/${version}`;
}

function bytesOf({ memory }: Pick<Resident, "memory">): number {
  return memory.heapBytes + memory.taskBytes;
}

/** While a model loads, what was reserved for it stays reserved; afterwards it holds what it has. */
function mayGrow<M>({ manifest, holding, model }: Entry<M>, heapBytes: number): boolean {
  const bytes = heapBytes + manifest.memory.taskBytes;
  return holding.tryResize(model === undefined ? Math.max(bytes, holding.bytes) : bytes);
}

function asNearsideError(error: unknown): NearsideError {
  if (error instanceof TrapError || !(error instanceof NearsideError)) {
    return new NearsideError("model_load_failed", "The model could not be loaded.", {
      cause: error,
    });
  }
  return error;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
