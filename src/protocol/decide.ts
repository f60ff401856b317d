import { Meter } from "../billing/meter.ts";
import type { Catalog, OriginRoute } from "../catalog/catalog.ts";
import type { Manifest } from "../catalog/manifest.ts";
import type { Context } from "../context.ts";
import { NearsideError } from "../errors.ts";
import type { OriginCaller } from "../origin/call-origin.ts";
import type { OriginPool } from "../origin/pool.ts";
import { callerOf, deadlineOf, placementOf } from "../routing/caller.ts";
import { type Choice, type Target, chooseVersion } from "../routing/choose.ts";
import type { Placed, Wishes } from "../routing/placement.ts";
import { WIRE_FORMS } from "./problem.ts";

/** What is decided about a request before its input is looked at. */
export interface Decided {
  readonly catalog: Catalog;
  readonly choice: Choice;
  readonly manifest: Manifest;
  readonly meter: Meter;
  readonly wishes: Wishes;
  /** How to ask the model's pool; undefined where it has none of this protocol. */
  readonly origin: OriginCaller | undefined;
}

/**
 * Chooses the version, and gathers what decides where it runs.
 *
 * @param protocol what a pool must speak to take such requests
 */
export async function decide(
  context: Context,
  target: Target,
  request: Request,
  protocol: OriginPool["protocol"],
): Promise<Decided> {
  const { isolate, timing } = context;
  const deadline = deadlineOf(request, context.now());
  const header = placementOf(request);
  const catalog = await timing.measure("catalog", () => isolate.catalog.get(context));
  const caller = callerOf(request, {
    model: target.model,
    adminToken: isolate.adminToken,
  });
  const choice = await chooseVersion(catalog, target, caller, isolate.flags.of(catalog));
  if (choice.fault !== undefined) isolate.flags.countFallback(choice.fault);
  const { manifest } = choice;
  const route = routeOf(catalog, manifest, protocol);
  return {
    catalog,
    choice,
    manifest,
    meter: new Meter(context, { ...choice, catalog: catalog.number }),
    wishes: {
      hasRoute: route !== undefined && isolate.origin !== undefined,
      header,
      flag: choice.placement,
      hasEdgeBuild: manifest.edge !== false,
      fits: isolate.host.fits(manifest),
    },
    origin:
      route && isolate.origin && originCaller(context, { origin: isolate.origin, route, deadline }),
  };
}

/** The way to a model's pool, if the pool speaks the protocol. */
export function routeOf(
  { models, pools = {} }: Catalog,
  { name }: Manifest,
  protocol: OriginPool["protocol"],
): OriginRoute | undefined {
  const route = models[name]?.origin;
  return route !== undefined && pools[route.pool]?.protocol === protocol ? route : undefined;
}

function originCaller(
  { requestId, signal, now }: Context,
  way: Pick<OriginCaller, "origin" | "route" | "deadline">,
): OriginCaller {
  return { ...way, requestId, signal, now };
}

const HEADER_VALUE = /^[\x21-\x7e]{1,256}$/;

/** Says on an answer what decided. */
export function stamp(
  { headers }: Response,
  { catalog, choice, manifest }: Decided,
  { placement, reason }: Placed,
): void {
  headers.set("nearside-model", manifest.name);
  headers.set("nearside-version", String(manifest.version));
  headers.set("nearside-catalog", String(catalog.number));
  headers.set("nearside-reason", choice.reason);
  headers.set("nearside-placement", placement);
  headers.set("nearside-placement-reason", reason);
  if (choice.flag !== undefined) headers.set("nearside-flag", choice.flag);
  // Checked before it was published; but a flag of another provider, or of an older checker, costs no answer.
  const { variant } = choice;
  if (variant !== undefined && HEADER_VALUE.test(variant)) headers.set("nearside-variant", variant);
}

/** Counts a request that was refused or failed. */
export function countFailure({ meter }: Decided, error: unknown): void {
  const code = error instanceof NearsideError ? error.code : "internal";
  meter.end({ outcome: code, status: WIRE_FORMS[code].status, units: {} });
}
