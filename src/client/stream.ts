import type { OpenReply } from "./caller.ts";
import { NearsideError, errorOf, invalidInput, jsonOf, objectOf } from "./error.ts";
import { type Meta, nanoOf } from "./meta.ts";

export interface ChatMessage {
  readonly role: string;
  readonly content: unknown;
}

/** What `POST /v1/chat/completions` takes, or with `prompt` `POST /v1/completions`; both take more. */
export type StreamInput = { readonly [parameter: string]: unknown } & (
  | { readonly messages: readonly ChatMessage[] }
  | { readonly prompt: string }
);

/** One event of a stream. */
export interface StreamEvent {
  /** What has come of the answer. */
  readonly text: string;
  /** `stop`, `length`; with the last text. */
  readonly finishReason: string | undefined;
  /** With the last event, where the pool tells it. */
  readonly usage: Readonly<Record<string, unknown>> | undefined;
  /** As it came. */
  readonly raw: unknown;
}

/**
 * A text on its way, which can be read once. Nothing is asked before it is read, or its meta is; leaving the loop
 * ends the request.
 *
 * @example
 * const stream = nearside.stream("scribe", { messages: [{ role: "user", content: "Tell me." }] });
 * for await (const { text } of stream) show(text);
 * const { costNano } = await stream.meta();
 */
export class TextStream implements AsyncIterable<StreamEvent> {
  readonly #open: () => Promise<OpenReply>;
  #reply: Promise<OpenReply> | undefined;
  #isRead = false;
  #told: { costNano?: number | undefined; receipt?: string | undefined } = {};

  constructor(open: () => Promise<OpenReply>) {
    this.#open = open;
  }

  /** Of the answer, as soon as it has begun; with cost and receipt once it has ended. @throws NearsideError */
  async meta(): Promise<Meta> {
    return { ...(await this.#begin()).meta, ...this.#told };
  }

  /** Ends the request of whoever has asked for its meta, and reads no more. */
  async cancel(): Promise<void> {
    if (this.#isRead) return;
    this.#isRead = true;
    const reply = await this.#reply?.catch(() => undefined);
    await reply?.body.cancel().catch(() => {});
  }

  /** All of the text. @throws NearsideError */
  async text(): Promise<string> {
    let whole = "";
    for await (const { text } of this) whole += text;
    return whole;
  }

  /** @throws NearsideError when it fails, or ends before it is over */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void> {
    if (this.#isRead) throw invalidInput("stream", "can be read once, and has been");
    this.#isRead = true;
    const { body, deadline } = await this.#begin();
    const reader = body.getReader();
    try {
      for await (const line of linesOf(() => deadline.within(reader.read()))) {
        if (line.startsWith(":")) this.#note(line);
        if (!line.startsWith("data:")) continue;
        const data = line.slice("data:".length).trim();
        if (data === "[DONE]") return;
        yield eventOf(data);
      }
      throw new NearsideError("network_failed", "The stream ended before it was over.");
    } catch (error) {
      throw deadline.errorOf(error);
    } finally {
      // Whoever leaves early wants no more of it.
      reader.cancel().catch(() => {});
    }
  }

  #begin(): Promise<OpenReply> {
    return (this.#reply ??= this.#open());
  }

  /** What it cost, and its receipt, come as comments. */
  #note(line: string): void {
    const [, name, value] = /^: nearside-(cost|receipt) (.*)$/.exec(line) ?? [];
    if (name === "cost") this.#told.costNano = nanoOf(value);
    if (name === "receipt") this.#told.receipt = value;
  }
}

/** Lines end with CRLF, LF or CR (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
async function* linesOf(
  read: () => Promise<{ done: boolean; value?: Uint8Array | undefined }>,
): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let held = "";
  for (;;) {
    const { done, value } = await read();
    held += decoder.decode(value, { stream: !done });
    // A CR at the end may be half of a CRLF.
    const lines = held.split(/\r\n|\n|\r(?!$)/);
    held = lines.pop() ?? "";
    yield* lines;
    if (done) return;
  }
}

interface Choice {
  readonly text?: string | null;
  readonly delta?: { readonly content?: string | null };
  readonly finish_reason?: string | null;
}

function eventOf(data: string): StreamEvent {
  const raw = jsonOf(data);
  if (raw === undefined) throw new NearsideError("invalid_answer", "An event is not JSON.");
  const { error, choices, usage } = objectOf(raw) as {
    readonly error?: unknown;
    readonly choices?: readonly Choice[];
    readonly usage?: StreamEvent["usage"] | null;
  };
  if (error) throw errorOf(objectOf(error), {});
  const [choice] = choices ?? [];
  return {
    text: choice?.delta?.content ?? choice?.text ?? "",
    finishReason: choice?.finish_reason ?? undefined,
    usage: usage ?? undefined,
    raw,
  };
}
