import { setTimeout as sleep } from "node:timers/promises";

import OpenAI from "openai";

import type { ServedStack } from "../../serve.ts";
import { type Check, hold } from "../check.ts";

const MODEL = "scribe";
/** Long enough to see that pieces come while it is written. */
const TOKENS = 400;
/** Hours of writing, if nobody stopped it. */
const ENDLESS = 1_000_000;
const STOPPED_WITHIN_MS = 3_000;

/** A chat completion through edge, origin Worker and development origin. */
export const streams: Check<ServedStack> = {
  claim:
    "a chat completion streams to the official openai client: the first token before the last is made; who disconnects stops the generation",
  async run(stack) {
    const client = new OpenAI({ baseURL: `${stack.edgeUrl}/v1`, apiKey: "none", maxRetries: 0 });
    const ask = (max_tokens: number, signal?: AbortSignal) =>
      client.chat.completions.create(
        {
          model: MODEL,
          messages: [{ role: "user", content: "This package is licensed under" }],
          max_tokens,
          temperature: 0.6,
          seed: 7,
          stream: true,
          stream_options: { include_usage: true },
        },
        { signal },
      );
    let text = "";
    let pieces = 0;
    let madeAtFirst: number | undefined;
    let usage: OpenAI.CompletionUsage | null | undefined;
    const before = await generatedTokens(stack);
    for await (const chunk of await ask(TOKENS)) {
      const piece = chunk.choices[0]?.delta.content ?? "";
      if (piece !== "") {
        madeAtFirst ??= (await generatedTokens(stack)) - before;
        pieces++;
        text += piece;
      }
      usage = chunk.usage ?? usage;
    }
    const made = (await generatedTokens(stack)) - before;
    hold(
      made === usage?.completion_tokens,
      `${made} were made, the usage says ${usage?.completion_tokens}`,
    );
    hold(
      madeAtFirst !== undefined && madeAtFirst < made,
      `at the first piece ${madeAtFirst} of ${made} tokens were made`,
    );
    hold(text.length > TOKENS / 2 && pieces > 10, `it says: ${text}`);

    const stop = new AbortController();
    let seen = 0;
    try {
      for await (const _ of await ask(ENDLESS, stop.signal)) if (++seen === 20) stop.abort();
    } catch (error) {
      hold(stop.signal.aborted, `the stream broke off: ${String(error)}`);
    }
    const left = performance.now();
    let last = await generatedTokens(stack);
    for (;;) {
      await sleep(200);
      const now = await generatedTokens(stack);
      if (now === last) break;
      last = now;
      hold(performance.now() - left < STOPPED_WITHIN_MS, "the generation goes on");
    }
    return {
      streamedTokens: made,
      madeAtFirstToken: madeAtFirst ?? 0,
      stoppedAfterMs: Math.round(performance.now() - left - 200),
    };
  },
};

async function generatedTokens({ devOrigin }: ServedStack): Promise<number> {
  const text = await (await fetch(`${devOrigin.url}/metrics`)).text();
  const [, count = "0"] = /generated_tokens_total\{model="scribe"\} (\d+)/.exec(text) ?? [];
  return Number(count);
}
