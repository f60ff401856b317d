/**
 * Periods of UTC. Their keys are beginnings of ISO times, so they sort as they follow each other, and the
 * key of a longer period is the beginning of the shorter ones' keys. Computers' time has no leap seconds: a
 * leap second is part of the second before it.
 */
export type PeriodUnit = "hour" | "day" | "month";

export interface Period {
  /** Milliseconds since the epoch. */
  readonly from: number;
  /** The first moment that is not in it any more. */
  readonly to: number;
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

const KEY_LENGTH: Readonly<Record<PeriodUnit, number>> = { hour: 13, day: 10, month: 7 };

const KEY = /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}))?)?)?$/;

function keyOf(unit: PeriodUnit, at: number): string {
  return new Date(at).toISOString().slice(0, KEY_LENGTH[unit]);
}

/** `2026-11-24T22` */
export const hourOf = (at: number): string => keyOf("hour", at);

/** `2026-11-24` */
export const dayOf = (at: number): string => keyOf("day", at);

/** `2026-11` */
export const monthOf = (at: number): string => keyOf("month", at);

/** The hour, day, month or year that a key names; undefined when it names none. */
export function periodOf(key: string): Period | undefined {
  const parts = KEY.exec(key);
  if (parts === null) return undefined;
  const [year = 0, month = 1, day = 1, hour = 0] = parts
    .slice(1)
    .filter((part) => part !== undefined)
    .map(Number);
  const from = Date.UTC(year, month - 1, day, hour);
  // The 30th of February is a time, but of another key.
  if (!new Date(from).toISOString().startsWith(key)) return undefined;
  switch (key.length) {
    case 4:
      return { from, to: Date.UTC(year + 1, 0, 1) };
    case 7:
      return { from, to: Date.UTC(year, month, 1) };
    case 10:
      return { from, to: from + DAY_MS };
    default:
      return { from, to: from + HOUR_MS };
  }
}

/** When the period that this moment is in began. */
export function startOf(unit: PeriodUnit, at: number): number {
  const date = new Date(at);
  if (unit === "month") return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
  const length = unit === "hour" ? HOUR_MS : DAY_MS;
  return Math.floor(at / length) * length;
}

/** When the period that this moment is in will be over. */
export function endOf(unit: PeriodUnit, at: number): number {
  if (unit === "hour") return startOf(unit, at) + HOUR_MS;
  if (unit === "day") return startOf(unit, at) + DAY_MS;
  const date = new Date(at);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}

/** The first moment of the month so many months before this one's. */
export function monthsBefore(at: number, months: number): number {
  const date = new Date(at);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - months, 1);
}
