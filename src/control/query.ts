import * as v from "valibot";

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 200;

export const CatalogNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** A whole number in a URL. */
export const NumberText = v.pipe(
  v.string(),
  v.regex(/^[1-9][0-9]{0,14}$/, "must be a whole number above 0"),
  v.transform(Number),
);

/** How many entries of a list to give. */
export const LIMIT = v.optional(
  v.pipe(
    NumberText,
    v.check((limit) => limit <= MAX_LIMIT, `must be ${MAX_LIMIT} at most`),
  ),
  String(DEFAULT_LIMIT),
);
