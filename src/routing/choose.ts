import type { EvaluationContext, JsonValue } from "@openfeature/core";
import * as v from "valibot";

import { type Catalog, type CatalogModel, STABLE } from "../catalog/catalog.ts";
import type { Manifest } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import type { FlagProvider } from "./flag-provider.ts";
import type { Placement } from "./placement.ts";
import { Variant } from "./variant.ts";

/** What a request's URL names. */
export interface Target {
  readonly model: string;
  /** A version's number or a label. */
  readonly version?: string | undefined;
}

/** What decides besides the URL. */
export interface Caller {
  /** The override header's version or label, if its sender may choose. */
  readonly override?: string | undefined;
  /** What flags see: `targetingKey` and attributes. */
  readonly context: EvaluationContext;
}

/** The version that answers, and why. */
export interface Choice {
  readonly manifest: Manifest;
  /** `EXPLICIT`, `OVERRIDE`, `STABLE`, or the reason that the flag's provider gives. */
  readonly reason: string;
  /** The model's flag, when it was evaluated. */
  readonly flag?: string;
  readonly variant?: string;
  /** The version that sees the same input after the answer. */
  readonly shadow?: ShadowChoice;
  /** Where the flag wants it to run. */
  readonly placement?: Placement;
  /** Why the flag was of no use and `stable` answers; for operators. */
  readonly fault?: unknown;
}

export interface ShadowChoice {
  readonly manifest: Manifest;
  /** Share of requests, 0 to 1. */
  readonly rate: number;
}

const EXPLICIT = "EXPLICIT";
const OVERRIDE = "OVERRIDE";
const BY_LABEL = "STABLE";
const ERROR = "ERROR";
const DISABLED = "DISABLED";
/** An object: providers compare the type of a flag with its default's. */
const DEFAULT = { version: STABLE };

/**
 * Chooses the version for a request: the one in the URL, else the override header's, else the flag's, else
 * the label `stable`. A flag that can't be evaluated, or that chooses what is not there or switched off,
 * never costs an answer: `stable` gives it.
 *
 * @throws NearsideError `model_not_found`, `version_not_found`, `model_off`, `version_off`
 */
export async function chooseVersion(
  catalog: Catalog,
  target: Target,
  caller: Caller,
  provider: FlagProvider | undefined,
): Promise<Choice> {
  const model = modelOf(catalog, target.model);
  const named = target.version ?? caller.override;
  if (named !== undefined) {
    const manifest = namedVersion(model, target.model, named);
    return { manifest, reason: target.version === undefined ? OVERRIDE : EXPLICIT };
  }
  const hasFlag = catalog.flags !== undefined && Object.hasOwn(catalog.flags.flags, target.model);
  if (provider !== undefined && hasFlag) {
    const flagged = await flaggedVersion(model, target.model, caller.context, provider);
    if (flagged !== undefined) return flagged;
  }
  return { manifest: namedVersion(model, target.model, STABLE), reason: BY_LABEL };
}

/**
 * The version that a URL names, else `stable`: for requests about a model that no flag should decide.
 *
 * @throws NearsideError `model_not_found`, `version_not_found`, `model_off`, `version_off`
 */
export function describedVersion(catalog: Catalog, { model: name, version }: Target): Manifest {
  return namedVersion(modelOf(catalog, name), name, version ?? STABLE);
}

function modelOf(catalog: Catalog, name: string): CatalogModel {
  const model = Object.hasOwn(catalog.models, name) ? catalog.models[name] : undefined;
  if (model === undefined) {
    throw new NearsideError("model_not_found", `There is no model "${shown(name)}".`, {
      field: "model",
    });
  }
  if (model.off === true) {
    throw new NearsideError("model_off", `"${name}" is switched off by its operator.`, {
      field: "model",
    });
  }
  return model;
}

function namedVersion(model: CatalogModel, name: string, wanted: string): Manifest {
  const manifest = versionOf(model, wanted);
  if (manifest === undefined) {
    const known = [...Object.keys(model.versions), ...Object.keys(model.labels)].join(", ");
    throw new NearsideError(
      "version_not_found",
      `"${name}" has no version "${shown(wanted)}"; it has ${known}.`,
      { field: "version" },
    );
  }
  if (isOff(model, manifest)) {
    throw new NearsideError(
      "version_off",
      `Version ${manifest.version} of "${name}" is switched off by its operator.`,
      { field: "version" },
    );
  }
  return manifest;
}

/** Undefined where `stable` must answer without a flag: nothing was chosen, and there is nothing to tell. */
async function flaggedVersion(
  model: CatalogModel,
  name: string,
  context: EvaluationContext,
  provider: FlagProvider,
): Promise<Choice | undefined> {
  const fallBack = (reason: string, fault?: unknown): Choice => ({
    manifest: namedVersion(model, name, STABLE),
    reason,
    flag: name,
    ...(fault !== undefined && { fault }),
  });
  let value: JsonValue | undefined;
  let variant: string | undefined;
  let reason: string;
  try {
    const details = await provider.resolveObjectEvaluation(name, DEFAULT, context);
    if (details.errorCode !== undefined) return fallBack(ERROR, details.errorMessage);
    ({ value, variant } = details);
    reason = details.reason ?? BY_LABEL;
  } catch (error) {
    return fallBack(ERROR, error);
  }
  if (reason === DISABLED) return undefined;
  const chosen = v.safeParse(Variant, value);
  if (!chosen.success)
    return fallBack(ERROR, `Variant "${variant}" is none that chooses a version.`);
  const manifest = versionOf(model, String(chosen.output.version));
  if (manifest === undefined) return fallBack(ERROR, `Variant "${variant}" names no version.`);
  if (isOff(model, manifest)) return fallBack("OFF");
  const shadow = shadowOf(model, manifest, chosen.output);
  return {
    manifest,
    reason,
    flag: name,
    ...(variant !== undefined && { variant }),
    ...(shadow !== undefined && { shadow }),
    ...(chosen.output.placement !== undefined && { placement: chosen.output.placement }),
  };
}

/** A shadow that is not there, is switched off or would answer the same is left out. */
function shadowOf(
  model: CatalogModel,
  answering: Manifest,
  { shadow }: Variant,
): ShadowChoice | undefined {
  if (shadow === undefined) return undefined;
  const manifest = versionOf(model, String(shadow.version));
  if (manifest === undefined || manifest.version === answering.version) return undefined;
  return isOff(model, manifest) ? undefined : { manifest, rate: shadow.rate };
}

function versionOf(model: CatalogModel, wanted: string): Manifest | undefined {
  const number = Object.hasOwn(model.labels, wanted) ? model.labels[wanted] : wanted;
  return Object.hasOwn(model.versions, String(number)) ? model.versions[String(number)] : undefined;
}

function isOff(model: CatalogModel, { version }: Manifest): boolean {
  return model.offVersions?.includes(version) ?? false;
}

/** A name from a URL may be as long as the URL. */
const SHOWN_CHARACTERS = 64;

function shown(name: string): string {
  return name.length > SHOWN_CHARACTERS ? `${name.slice(0, SHOWN_CHARACTERS)}…` : name;
}
