import { joinedOrOnly } from "../../bytes.ts";
import type { Units } from "../../billing/meter.ts";
import type { Break, Filter } from "../pass-through.ts";
import { WIRE_FORMS } from "../problem.ts";
import { openAiError } from "./error.ts";
import { type ServerEvent, EventCutter } from "./events.ts";
import { isCount, isObject } from "./request.ts";

/** What a request can have used at most, whatever an origin says of it. */
export interface Ceiling {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

const BROKEN: { readonly [B in Break]: string } = {
  origin_failed: "The model's origin pool broke off.",
  origin_timeout: "The model has stopped writing.",
};

/** Units of an answer's `usage`, up to the ceiling; what is no count is left out. */
export function unitsOf(usage: unknown, ceiling: Ceiling): Units {
  if (!isObject(usage)) return {};
  const units: Record<string, number> = {};
  for (const unit of ["prompt_tokens", "completion_tokens"] as const) {
    const count = usage[unit];
    if (isCount(count)) units[unit] = Math.min(count, ceiling[unit]);
  }
  return units;
}

/**
 * Passes server-sent events on as they become whole, and reads what was used from them. The event that
 * tells only that is kept back from a client that did not ask for it.
 *
 * What was used is the largest usage that any event tells, as servers may tell it as they go; but not less than
 * one token for each event that brought text, and no more tokens than bytes went on. So a stream that ends before
 * its usage comes still counts what was delivered.
 */
export class UsageFilter implements Filter {
  readonly #wantsUsage: boolean;
  readonly #ceiling: Ceiling;
  readonly #events = new EventCutter();
  #told: Partial<Record<string, number>> = {};
  #texts = 0;
  #bytes = 0;
  #failed = false;

  constructor(wantsUsage: boolean, ceiling: Ceiling) {
    this.#wantsUsage = wantsUsage;
    this.#ceiling = ceiling;
  }

  /** What was used, as far as it has been told or delivered. */
  get units(): Units {
    const { prompt_tokens: prompt, completion_tokens: completion } = this.#told;
    const tokens = Math.max(completion ?? 0, this.#texts);
    return {
      ...(prompt !== undefined && { prompt_tokens: prompt }),
      ...((completion !== undefined || tokens > 0) && {
        completion_tokens: Math.min(tokens, this.#bytes, this.#ceiling.completion_tokens),
      }),
    };
  }

  /** Whether any of the answer's text has gone on. */
  get hasDelivered(): boolean {
    return this.#texts > 0;
  }

  push(chunk: Uint8Array): Uint8Array {
    const kept = this.#events.push(chunk).filter((event) => this.#goesOn(event));
    return this.#passed(kept);
  }

  end(): Uint8Array {
    return this.#passed(this.#events.end().filter((event) => this.#goesOn(event)));
  }

  hasFailed(): boolean {
    return this.#failed;
  }

  /** OpenAI's clients take an event with an error for what it is; a connection that breaks off they may not. */
  broken(why: Break): Uint8Array {
    const error = openAiError(why, WIRE_FORMS[why].status, BROKEN[why], undefined);
    return new TextEncoder().encode(`data: ${JSON.stringify({ error })}\n\n`);
  }

  #passed(events: readonly ServerEvent[]): Uint8Array {
    const bytes = joinedOrOnly(events.map((event) => event.bytes));
    this.#bytes += bytes.length;
    return bytes;
  }

  #goesOn({ type, data }: ServerEvent): boolean {
    if (type === "error") this.#failed = true;
    const chunk = parse(data);
    if (!isObject(chunk)) return true;
    if (isObject(chunk["error"])) this.#failed = true;
    const choices: readonly unknown[] | undefined = Array.isArray(chunk["choices"])
      ? chunk["choices"]
      : undefined;
    this.#texts += choices?.filter(bringsText).length ?? 0;
    if (!isObject(chunk["usage"])) return true;
    for (const [unit, count] of Object.entries(unitsOf(chunk["usage"], this.#ceiling))) {
      this.#told[unit] = Math.max(this.#told[unit] ?? 0, count);
    }
    return this.#wantsUsage || choices === undefined || choices.length > 0;
  }
}

/** `delta.content`, what it thinks, or the tool that it calls; `text` where it is no chat. */
function bringsText(choice: unknown): boolean {
  if (!isObject(choice)) return false;
  const { text, delta } = choice;
  const texts = isObject(delta)
    ? [delta["content"], delta["reasoning_content"], delta["reasoning"], delta["refusal"]]
    : [text];
  const calls = isObject(delta) ? delta["tool_calls"] : undefined;
  return (
    texts.some((one) => typeof one === "string" && one !== "") ||
    (Array.isArray(calls) && calls.length > 0)
  );
}

function parse(data: string): unknown {
  if (!data.trimStart().startsWith("{")) return undefined;
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
