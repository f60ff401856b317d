import * as v from "valibot";

import { Label } from "../catalog/catalog.ts";
import { ModelVersion } from "../catalog/manifest.ts";

/** A version's number, or a label that names one. */
export const VersionChoice = v.union([ModelVersion, Label]);
export type VersionChoice = v.InferOutput<typeof VersionChoice>;

/**
 * What a flag may choose: a version or label, as it is or with options. A flag's variants are these, by name:
 * `{"current": "stable", "next": {"version": 4}}`.
 */
export const Variant = v.pipe(
  v.union([VersionChoice, v.strictObject({ version: VersionChoice })]),
  v.transform((value) => (typeof value === "object" ? value : { version: value })),
);
export type Variant = v.InferOutput<typeof Variant>;
