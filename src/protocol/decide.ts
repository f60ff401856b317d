import type { Principal } from "../accounts/principal.ts";
import { Meter } from "../billing/meter.ts";
import { type Catalog, type OriginRoute, STABLE } from "../catalog/catalog.ts";
import type { Manifest } from "../catalog/manifest.ts";
import type { Context } from "../context.ts";
import { NearsideError } from "../errors.ts";
import type { OriginCaller } from "../origin/call-origin.ts";
import { HOP_HEADER } from "../origin/endpoint-request.ts";
import { DEFAULT_IDLE_MS, type OriginPool } from "../origin/pool.ts";
import { callerOf, deadlineOf, placementOf } from "../routing/caller.ts";
import { type Choice, type Target, chooseVersion } from "../routing/choose.ts";
import type { Placed, Wishes } from "../routing/placement.ts";
import { stampCost } from "./charge.ts";
import type { OnceOnly } from "./idempotency.ts";
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
  /** Why this request may not go to the pool that the model has; a sentence for its caller. */
  readonly whyNoOrigin: string | undefined;
  /** Who asks; undefined for whoever is not billed. */
  readonly principal: Principal | undefined;
  /** The request's Idempotency-Key. */
  readonly once: OnceOnly | undefined;
}

/** What is known of a request besides its target. */
export interface Asked {
  /** What a pool must speak to take such requests. */
  readonly protocol: OriginPool["protocol"];
  readonly principal: Principal | undefined;
  readonly once: OnceOnly | undefined;
  /** Who the request is for, where its body says so. */
  readonly user?: string | undefined;
}

/** Chooses the version, and gathers what decides where it runs. */
export async function decide(
  context: Context,
  target: Target,
  request: Request,
  { protocol, principal, once, user }: Asked,
): Promise<Decided> {
  const { isolate, timing } = context;
  const deadline = deadlineOf(request, context.now());
  const header = placementOf(request);
  const catalog = await timing.measure("catalog", () => isolate.catalog.get(context));
  const caller = callerOf(request, {
    model: target.model,
    adminToken: isolate.adminToken,
    principal,
    user,
  });
  const choice = await chooseVersion(catalog, target, caller, isolate.flags.of(catalog));
  if (choice.fault !== undefined) isolate.flags.countFallback(choice.fault);
  const { manifest } = choice;
  const whyNoOrigin = whyNotForwarded(request, catalog, manifest);
  const route = whyNoOrigin === undefined ? routeOf(catalog, manifest, protocol) : undefined;
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
      route &&
      isolate.origin &&
      originCaller(context, {
        origin: isolate.origin,
        route,
        deadline,
        idleMs: catalog.pools?.[route.pool]?.idleMs ?? DEFAULT_IDLE_MS,
      }),
    whyNoOrigin,
    principal,
    once,
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

function whyNotForwarded(
  { headers }: Request,
  { models }: Catalog,
  { name, version }: Manifest,
): string | undefined {
  // A server of a pool may be an edge, by mistake.
  if (headers.has(HOP_HEADER)) {
    return "The request comes from an origin pool, and must not go to another.";
  }
  const { origin, labels = {} } = models[name] ?? {};
  if (origin === undefined || origin.versioned === true || labels[STABLE] === version) {
    return undefined;
  }
  return `The origin pool of "${name}" does not tell versions apart, and would answer with "${STABLE}": version ${version} needs a route that is "versioned".`;
}

function originCaller(
  { requestId, signal, now }: Context,
  way: Pick<OriginCaller, "origin" | "route" | "deadline" | "idleMs">,
): OriginCaller {
  return { ...way, requestId, signal, now };
}

const HEADER_VALUE = /^[\x21-\x7e]{1,256}$/;

/** Says on an answer what decided. */
export function stamp(
  { headers }: Response,
  { catalog, choice, manifest, principal }: Decided,
  { placement, reason }: Placed,
): void {
  headers.set("nearside-model", manifest.name);
  headers.set("nearside-version", String(manifest.version));
  headers.set("nearside-catalog", String(catalog.number));
  headers.set("nearside-reason", choice.reason);
  headers.set("nearside-placement", placement);
  headers.set("nearside-placement-reason", reason);
  // Whoever could have paid is told what it costs.
  if (principal !== undefined) stampCost(headers, undefined);
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
