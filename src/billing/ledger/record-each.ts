import { MoneyError } from "../money.ts";
import type { LedgerEvent, Recorded } from "./event.ts";

/** Records events, all or none of them. */
type Record = (events: readonly LedgerEvent[]) => Recorded;

/** What SQLite says of a sum above 2^53, and of a row that is too long. */
const UNBOOKABLE = /constraint|too big|TOOBIG/i;

/**
 * Records events together, and one by one where the books can't take one of them: that one alone is refused.
 * Where storage fails nothing is to blame on an event: that is thrown, and the batch comes again.
 */
export function recordEach(events: readonly LedgerEvent[], record: Record): Recorded {
  try {
    return record(events);
  } catch (error) {
    const [only] = events;
    if (only === undefined || !isUnbookable(error)) throw error;
    if (events.length > 1) return together(events.map((event) => recordEach([event], record)));
    return { recorded: 0, duplicates: 0, refused: [{ id: only.id, reason: "unbookable" }] };
  }
}

function isUnbookable(error: unknown): boolean {
  if (error instanceof MoneyError || error instanceof TypeError || error instanceof RangeError) {
    return true;
  }
  return error instanceof Error && UNBOOKABLE.test(error.message);
}

function together(all: readonly Recorded[]): Recorded {
  return {
    recorded: all.reduce((sum, { recorded }) => sum + recorded, 0),
    duplicates: all.reduce((sum, { duplicates }) => sum + duplicates, 0),
    refused: all.flatMap(({ refused }) => refused),
  };
}
