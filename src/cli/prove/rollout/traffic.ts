import { setTimeout as sleep } from "node:timers/promises";

import { type Subject } from "./subject.ts";
import { MODEL } from "./texts.ts";

/** Callers who come again and again. */
const USERS = 4_000;
const CONNECTIONS = 3;
/** Callers pause, so that shadows find the isolate idle now and then. */
const THINK_MS = 12;

/** One request's routing, as its answer tells. */
interface Routed {
  readonly catalog: number;
  readonly version: number;
}

/** Callers with names who send real files, for as long as the proof needs them; and what they saw. */
export class Traffic {
  readonly #subject: Subject;
  readonly #stop = new AbortController();
  readonly #callers: Promise<void>[];
  /** By user: the last answer. */
  readonly #last = new Map<string, Routed>();
  requests = 0;
  /** Answers by version. */
  readonly byVersion = new Map<number, number>();
  readonly failures: string[] = [];
  /** Callers that one catalog gave two versions, or a later one turned back. */
  readonly unsteady: string[] = [];

  constructor(subject: Subject) {
    this.#subject = subject;
    this.#callers = Array.from({ length: CONNECTIONS }, (_, caller) => this.#call(caller));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#callers);
  }

  async #call(caller: number): Promise<void> {
    for (let turn = caller; !this.#stop.signal.aborted; turn += CONNECTIONS) {
      await this.#send(`user-${(turn * 7919) % USERS}`, turn);
      await sleep(THINK_MS);
    }
  }

  async #send(user: string, turn: number): Promise<void> {
    const { stack, texts } = this.#subject;
    this.requests++;
    try {
      const response = await fetch(`${stack.edgeUrl}/v1/predict/${MODEL}`, {
        method: "POST",
        headers: { "content-type": "application/octet-stream", "nearside-user": user },
        body: texts[turn % texts.length] ?? new Uint8Array(),
      });
      const body = await response.text();
      if (response.status === 200) this.#see(user, response.headers);
      else this.failures.push(`${response.status}: ${body}`);
    } catch (error) {
      this.failures.push(String(error));
    }
  }

  #see(user: string, headers: Headers): void {
    const version = Number(headers.get("nearside-version"));
    const catalog = Number(headers.get("nearside-catalog"));
    this.byVersion.set(version, (this.byVersion.get(version) ?? 0) + 1);
    const last = this.#last.get(user);
    // Two connections' answers may cross; an older catalog tells nothing of the order.
    if (last !== undefined && last.catalog === catalog && last.version !== version) {
      this.unsteady.push(`${user}: ${last.version} and ${version} by catalog ${catalog}`);
    }
    if (last === undefined || catalog >= last.catalog) this.#last.set(user, { catalog, version });
  }
}
