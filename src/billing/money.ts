import * as v from "valibot";

/**
 * Money in whole nano-dollars, as a safe integer: a thousand-millionth of a dollar, so a million tokens at
 * 20 cents cost 200 each. Every amount and every sum stays below 2^53, which is nine million dollars; what
 * would pass that throws instead of being rounded. JSON carries it as an integer.
 */
export type Nano = number;

export const NANO_PER_DOLLAR = 1_000_000_000;

const DECIMALS = 9;

/** Money that is nobody's mistake: an amount of nothing or more. */
export const NanoAmount = v.pipe(
  v.number(),
  v.safeInteger("must be a whole number of nano-dollars"),
  v.minValue(0),
);

export type MoneyErrorCode = "amount_overflow" | "invalid_amount" | "invalid_units";

/** Arithmetic that would have lost a nano-dollar. */
export class MoneyError extends Error {
  override readonly name = "MoneyError";
  readonly code: MoneyErrorCode;

  constructor(code: MoneyErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Vouches for the result of an addition or multiplication of safe integers. When the true result is safe it
 * was computed exactly; when it is not, rounding can't bring it back below 2^53.
 *
 * @throws MoneyError `amount_overflow`, `invalid_amount`
 */
function checked(value: number): Nano {
  if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  if (Number.isFinite(value) && !Number.isInteger(value)) {
    throw new MoneyError("invalid_amount", `${value} is not a whole number of nano-dollars.`);
  }
  throw new MoneyError("amount_overflow", "The amount is 2^53 nano-dollars or more.");
}

/** A number that came from elsewhere, as money. @throws MoneyError */
export const nano = checked;

/** @throws MoneyError `amount_overflow` */
export function add(...amounts: readonly Nano[]): Nano {
  return amounts.reduce((sum, amount) => checked(sum + checked(amount)), 0);
}

/** @throws MoneyError `amount_overflow` */
export function subtract(from: Nano, amount: Nano): Nano {
  return checked(checked(from) - checked(amount));
}

/** So many at so much. @throws MoneyError `amount_overflow`, `invalid_units` */
export function times(count: number, each: Nano): Nano {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new MoneyError("invalid_units", `${count} is not a number of units.`);
  }
  return checked(count * checked(each));
}

/** `1234567890` as `1.23456789`: exact, with two decimals at least. */
export function toDollars(amount: Nano): string {
  const digits = Math.abs(checked(amount))
    .toString()
    .padStart(DECIMALS + 1, "0");
  const whole = digits.slice(0, -DECIMALS);
  const fraction = digits.slice(-DECIMALS).replace(/0{1,7}$/, "");
  return `${amount < 0 ? "-" : ""}${whole}.${fraction}`;
}

/** `12.50` as nano-dollars. @throws MoneyError `invalid_amount`, `amount_overflow` */
export function fromDollars(text: string): Nano {
  const parts = /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (parts === null) {
    throw new MoneyError(
      "invalid_amount",
      "An amount is dollars with at most nine decimals: 12.50.",
    );
  }
  const [, sign = "", whole = "", fraction = ""] = parts;
  const amount = add(times(Number(whole), NANO_PER_DOLLAR), Number(fraction.padEnd(DECIMALS, "0")));
  return sign === "-" ? checked(-amount) : amount;
}
