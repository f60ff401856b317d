import * as v from "valibot";

import { Label } from "../catalog/catalog.ts";
import { ModelVersion } from "../catalog/manifest.ts";
import { type Placement, PLACEMENTS } from "./placement.ts";

/** A version's number, or a label that names one. */
export const VersionChoice = v.union([ModelVersion, Label]);
export type VersionChoice = v.InferOutput<typeof VersionChoice>;

const Shadow = v.strictObject({
  /** Sees the same input after the answer, is compared, and never billed. */
  version: VersionChoice,
  /** Share of requests, 0 to 1. */
  rate: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
});

/**
 * What a flag may choose: a version or label, as it is or with options. A flag's variants are these, by name:
 * `{"current": {"version": "stable", "shadow": {"version": 4, "rate": 0.1}}, "next": 4}`.
 */
export const Variant = v.pipe(
  v.union([
    VersionChoice,
    v.strictObject({
      version: VersionChoice,
      shadow: v.optional(Shadow),
      /** Where the version runs, if it can. */
      placement: v.optional(v.picklist(PLACEMENTS)),
    }),
  ]),
  v.transform((value): VariantOptions => (typeof value === "object" ? value : { version: value })),
);
export type Variant = v.InferOutput<typeof Variant>;

interface VariantOptions {
  readonly version: VersionChoice;
  readonly shadow?: v.InferOutput<typeof Shadow> | undefined;
  readonly placement?: Placement | undefined;
}
