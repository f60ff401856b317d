import * as v from "valibot";

import { isPrivateAddress } from "../origin/endpoint-guard.ts";
import { type CloudEventsTarget } from "./exports/cloudevents.ts";
import type { StripeTarget } from "./exports/stripe.ts";

const STRIPE_ORIGIN = "https://api.stripe.com";
/** One request of a collector; OpenMeter takes more. */
const MAX_BATCH = 100;

/** Of secrets made for exports alone: the operator's own token must not leave by way of a configuration. */
const SecretName = v.pipe(
  v.string(),
  v.regex(/^EXPORT_[A-Z0-9_]{1,56}$/, "must be the name of a secret that begins with EXPORT_"),
);

const HttpUrl = v.pipe(
  v.string(),
  v.check((url) => {
    const parsed = URL.parse(url);
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) return false;
    return parsed.username === "" && parsed.password === "";
  }, "must be an http or https URL without credentials"),
);

const StripeExport = v.strictObject({
  kind: v.literal("stripe"),
  /** The restricted key that may write meter events: a secret of the control Worker, by its name. */
  secretRef: SecretName,
  /** The meter's. */
  eventName: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_.-]{1,100}$/, "must be a meter's event name")),
  customer: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_]{1,255}$/, "must be a customer's id")),
  /** `requests`, `amount` (nano-dollars), or a unit such as `tokens`. */
  value: v.optional(v.pipe(v.string(), v.regex(/^[a-z][a-z_]{0,31}$/)), "requests"),
  /** A stand-in, where private exports are allowed. */
  origin: v.exactOptional(HttpUrl),
});

const CloudEventsExport = v.strictObject({
  kind: v.literal("cloudevents"),
  url: HttpUrl,
  /** The collector's token: a secret of the control Worker, by its name. */
  secretRef: v.exactOptional(SecretName),
  /** Events in one request. */
  batch: v.optional(
    v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MAX_BATCH)),
    MAX_BATCH,
  ),
  /** Who speaks; collectors know an event again by it and its id. */
  source: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(256)), "nearside"),
});

/** Where an account's events go besides. */
export const Export = v.variant("kind", [StripeExport, CloudEventsExport]);
export type Export = v.InferOutput<typeof Export>;

/** What the outbox calls it: the same as long as it is the same place. */
export function exportName(one: Export): string {
  return one.kind === "stripe"
    ? `stripe/${one.customer}/${one.eventName}`
    : `cloudevents/${one.url}`;
}

/** Why events can't go there; undefined: they can. Only a local stack may tell its own machine. */
export function exportProblem(one: Export, allowPrivate: boolean): string | undefined {
  if (allowPrivate) return undefined;
  if (one.kind === "stripe") {
    return one.origin === undefined || one.origin === STRIPE_ORIGIN
      ? undefined
      : `events for Stripe go to ${STRIPE_ORIGIN}`;
  }
  return one.url.startsWith("https:") && !isPrivateAddress(one.url)
    ? undefined
    : "must be a public https URL";
}

/** An export with its secret in it, for the moment of its use. */
export type ExportTarget =
  | { readonly kind: "stripe"; readonly target: StripeTarget; readonly batch: 1 }
  | { readonly kind: "cloudevents"; readonly target: CloudEventsTarget; readonly batch: number };

/** @returns undefined when its secret is not set */
export function targetOf(
  one: Export,
  secretOf: (name: string) => string | undefined,
): ExportTarget | undefined {
  const secret = one.secretRef === undefined ? undefined : secretOf(one.secretRef);
  if (one.secretRef !== undefined && secret === undefined) return undefined;
  if (one.kind === "stripe") {
    const { origin = STRIPE_ORIGIN, customer, eventName, value } = one;
    const target = { origin, secretKey: secret ?? "", customer, eventName, value };
    return { kind: "stripe", batch: 1, target };
  }
  const { url, source, batch } = one;
  const target = { url, source, ...(secret !== undefined && { token: secret }) };
  return { kind: "cloudevents", batch, target };
}

/** Only by names that are for exports: a configuration must reach no other secret. */
export function exportSecret(env: object, name: string): string | undefined {
  const value: unknown = name.startsWith("EXPORT_") ? Reflect.get(env, name) : undefined;
  return typeof value === "string" && value !== "" ? value : undefined;
}
