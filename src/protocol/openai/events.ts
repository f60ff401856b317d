import { NearsideError } from "../../errors.ts";

/** An event of more than this is none: tokens have some hundred bytes. */
const MAX_EVENT_BYTES = 1024 * 1024;
const LEAST_ROOM_BYTES = 4_096;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** One server-sent event, its empty line included; a comment is one, too, without data. */
export interface ServerEvent {
  readonly bytes: Uint8Array;
  /** Its field `event`. */
  readonly type: string;
  readonly data: string;
}

/**
 * Cuts a stream into its events: lines end with CRLF, LF or CR
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream). Each byte is looked
 * at once, however the stream is cut.
 */
export class EventCutter {
  /** What has come of an event that has not ended. */
  #held = new Uint8Array();
  #length = 0;
  #isLineEmpty = true;
  #afterReturn = false;

  /** @throws NearsideError `origin_failed` when an event does not end */
  push(chunk: Uint8Array): ServerEvent[] {
    const events: ServerEvent[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      const isSecondHalf = byte === LINE_FEED && this.#afterReturn;
      this.#afterReturn = byte === CARRIAGE_RETURN;
      if (isSecondHalf) continue;
      const wasEmpty = this.#isLineEmpty;
      this.#isLineEmpty = byte === LINE_FEED || byte === CARRIAGE_RETURN;
      if (!wasEmpty || !this.#isLineEmpty) continue;
      if (this.#afterReturn && chunk[at + 1] === LINE_FEED) {
        at++;
        this.#afterReturn = false;
      }
      const piece = chunk.subarray(start, at + 1);
      events.push(eventOf(this.#length === 0 ? piece : this.#take(piece)));
      start = at + 1;
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
    return events;
  }

  /** What is left at the end of the stream. */
  end(): ServerEvent[] {
    return this.#length === 0 ? [] : [eventOf(this.#take(new Uint8Array()))];
  }

  #hold(piece: Uint8Array): void {
    const length = this.#length + piece.length;
    if (length > MAX_EVENT_BYTES) {
      throw new NearsideError("origin_failed", "The origin's stream holds an event without end.");
    }
    if (length > this.#held.length) {
      const wider = new Uint8Array(Math.max(LEAST_ROOM_BYTES, 2 * length));
      wider.set(this.#held.subarray(0, this.#length));
      this.#held = wider;
    }
    this.#held.set(piece, this.#length);
    this.#length = length;
  }

  #take(last: Uint8Array): Uint8Array {
    const whole = new Uint8Array(this.#length + last.length);
    whole.set(this.#held.subarray(0, this.#length));
    whole.set(last, this.#length);
    this.#length = 0;
    return whole;
  }
}

const decoder = new TextDecoder();

function eventOf(bytes: Uint8Array): ServerEvent {
  let type = "";
  const data: string[] = [];
  for (const line of decoder.decode(bytes).split(/\r\n|\r|\n/)) {
    if (line.startsWith("data:")) data.push(line.slice("data:".length));
    if (line.startsWith("event:")) type = line.slice("event:".length).trim();
  }
  return { bytes, type, data: data.join("\n") };
}
