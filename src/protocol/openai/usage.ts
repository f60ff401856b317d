import type { Units } from "../../billing/meter.ts";
import { NearsideError } from "../../errors.ts";
import type { Filter } from "../pass-through.ts";
import { WIRE_FORMS } from "../problem.ts";
import { openAiError } from "./error.ts";
import { isObject } from "./request.ts";

/** Units of an answer's `usage`; what is no count is left out. */
export function unitsOf(usage: unknown): Units {
  if (!isObject(usage)) return {};
  const units: Record<string, number> = {};
  for (const unit of ["prompt_tokens", "completion_tokens"]) {
    const count = usage[unit];
    if (typeof count === "number" && Number.isSafeInteger(count) && count >= 0) units[unit] = count;
  }
  return units;
}

/** An event of more than this is none: tokens have some hundred bytes. */
const MAX_EVENT_BYTES = 1024 * 1024;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const NOTHING = new Uint8Array();

/**
 * Passes server-sent events on as they become whole, and reads what was used from them. The event that
 * tells only that is kept back from a client that did not ask for it.
 */
export class UsageFilter implements Filter {
  readonly #wantsUsage: boolean;
  #held: Uint8Array = NOTHING;
  #units: Units = {};

  constructor(wantsUsage: boolean) {
    this.#wantsUsage = wantsUsage;
  }

  /** What was used, as far as it has been told. */
  get units(): Units {
    return this.#units;
  }

  push(chunk: Uint8Array): Uint8Array {
    const bytes = this.#held.length === 0 ? chunk : concat([this.#held, chunk]);
    const kept: Uint8Array[] = [];
    let start = 0;
    for (let end = eventEnd(bytes, start); end > 0; end = eventEnd(bytes, start)) {
      const event = bytes.subarray(start, end);
      if (this.#goesOn(event)) kept.push(event);
      start = end;
    }
    this.#held = bytes.slice(start);
    if (this.#held.length > MAX_EVENT_BYTES) {
      throw new NearsideError("origin_failed", "The origin's stream holds an event without end.");
    }
    return kept.length === 1 && kept[0] !== undefined ? kept[0] : concat(kept);
  }

  end(): Uint8Array {
    return this.#held.length > 0 && this.#goesOn(this.#held) ? this.#held : NOTHING;
  }

  /** OpenAI's clients take an event with an error for what it is; a connection that breaks off they may not. */
  broken(): Uint8Array {
    const { status } = WIRE_FORMS.origin_failed;
    const message = "The model's origin pool broke off.";
    const error = openAiError("origin_failed", status, message, undefined);
    return new TextEncoder().encode(`data: ${JSON.stringify({ error })}\n\n`);
  }

  #goesOn(event: Uint8Array): boolean {
    const text = new TextDecoder().decode(event);
    if (!text.includes('"usage"')) return true;
    const chunk = parse(text);
    if (!isObject(chunk) || !isObject(chunk["usage"])) return true;
    this.#units = unitsOf(chunk["usage"]);
    const { choices } = chunk;
    return this.#wantsUsage || !Array.isArray(choices) || choices.length > 0;
  }
}

/** Where the event that begins at `start` ends, its empty line included; 0 when that is not there yet. */
function eventEnd(bytes: Uint8Array, start: number): number {
  for (let at = bytes.indexOf(LINE_FEED, start); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) {
    const next = bytes[at + 1] === CARRIAGE_RETURN ? at + 2 : at + 1;
    if (bytes[next] === LINE_FEED) return next + 1;
  }
  return 0;
}

function parse(event: string): unknown {
  const data = event
    .split(/\r?\n/)
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice("data:".length));
  try {
    return JSON.parse(data.join("\n"));
  } catch {
    return undefined;
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
