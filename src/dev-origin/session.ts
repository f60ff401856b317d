import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Worker } from "node:worker_threads";

import { NearsideError } from "../errors.ts";
import type { Tensor } from "../runtime/tensor.ts";

export type ThreadQuestion = Readonly<Record<string, Tensor>>;

/** What the thread says: of itself when it is ready, then of each question. */
export type ThreadAnswer =
  | { readonly outputs: Record<string, Tensor> }
  | { readonly failure: string };

/** A model as files: external data lies beside the graph. */
export interface ModelFiles {
  readonly graph: Uint8Array;
  readonly weights?: { readonly name: string; readonly data: Uint8Array };
}

/** Who waits for a run. */
export interface Turn {
  /** Nobody waits any more: a run that has not begun is left out. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds since 1970, after which the answer is of no use. */
  readonly deadline?: number | undefined;
}

const THREAD = path.join(import.meta.dirname, "session-thread.ts");
const STRIP_TYPES = ["--experimental-strip-types", "--disable-warning=ExperimentalWarning"];

/** A session of onnxruntime-node in a thread of its own, which computes one run at a time, in order. */
export class OriginSession {
  readonly #thread: Worker;
  /** Settles when everything asked so far is answered. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(thread: Worker) {
    this.#thread = thread;
    // A crash is told to whoever asks; without a listener it would end the process.
    thread.on("error", () => (this.#isClosed = true));
    thread.on("exit", () => (this.#isClosed = true));
  }

  /** @throws NearsideError `model_load_failed` */
  static async start({ graph, weights }: ModelFiles): Promise<OriginSession> {
    const folder = await mkdtemp(path.join(tmpdir(), "nearside-origin-"));
    try {
      const file = path.join(folder, "model.onnx");
      await writeFile(file, graph);
      if (weights) await writeFile(path.join(folder, path.basename(weights.name)), weights.data);
      const thread = new Worker(THREAD, { workerData: file, execArgv: STRIP_TYPES });
      await once(thread, "message");
      return new OriginSession(thread);
    } catch (cause) {
      throw new NearsideError("model_load_failed", "The model could not be loaded.", { cause });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Whether it can't answer any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @throws NearsideError `inference_failed`, `deadline_exceeded`, `model_unavailable` when it was unloaded meanwhile */
  run(feeds: ThreadQuestion, turn: Turn = {}): Promise<Record<string, Tensor>> {
    const answer = this.#last.then(() => this.#ask(feeds, turn));
    this.#last = answer.catch(() => {});
    return answer;
  }

  /** Answers what was asked, then ends the thread. */
  async close(): Promise<void> {
    await this.#last;
    this.#isClosed = true;
    await this.#thread.terminate();
  }

  async #ask(feeds: ThreadQuestion, { signal, deadline }: Turn): Promise<Record<string, Tensor>> {
    signal?.throwIfAborted();
    if (deadline !== undefined && Date.now() > deadline) {
      throw new NearsideError("deadline_exceeded", "The deadline passed before the model's turn.");
    }
    if (this.#isClosed) {
      throw new NearsideError("model_unavailable", "The model was unloaded meanwhile.");
    }
    const answered = new AbortController();
    const listening = { signal: answered.signal };
    try {
      const asked = Promise.race([
        once(this.#thread, "message", listening),
        once(this.#thread, "exit", listening).then(() => []),
      ]);
      this.#thread.postMessage(feeds);
      const [answer] = (await asked) as [ThreadAnswer?];
      if (answer === undefined) throw new NearsideError("model_unavailable", "The model crashed.");
      if ("outputs" in answer) return answer.outputs;
      throw new NearsideError("inference_failed", "The model could not compute this input.", {
        cause: answer.failure,
      });
    } finally {
      answered.abort();
    }
  }
}
