import { type Catalog, type CatalogModel } from "../../catalog/catalog.ts";
import type { Context } from "../../context.ts";
import { type ErrorDetails, NearsideError } from "../../errors.ts";
import { type Target, describedVersion } from "../../routing/choose.ts";
import { routeOf } from "../decide.ts";

/** A model of the catalog, switched off or not. @throws NearsideError `model_not_found` */
export function listedModel(catalog: Catalog, name: string): CatalogModel {
  const model = Object.hasOwn(catalog.models, name) ? catalog.models[name] : undefined;
  if (model !== undefined) return model;
  throw new NearsideError("model_not_found", `There is no model "${name.slice(0, 64)}".`, {
    field: "model",
  });
}

/** Versions of a model, lowest first. */
export function versionsOf({ versions }: CatalogModel): number[] {
  return Object.values(versions).map(({ version }) => version);
}

/** The names of a catalog's models that a caller may ask for. @param allowed all when absent */
export function allowedModels(catalog: Catalog, allowed: readonly string[] | undefined): string[] {
  return Object.keys(catalog.models).filter((name) => allowed?.includes(name) !== false);
}

const PROTOCOLS = ["open-inference", "openai"] as const;

/** @throws NearsideError `model_unavailable`, and why tensors would not be taken, if need be after loading; those of `describedVersion` */
export function checkReady({ isolate, now }: Context, catalog: Catalog, target: Target): void {
  const manifest = describedVersion(catalog, target);
  const { name, version } = manifest;
  if (manifest.members !== undefined) {
    throw unavailable(`"${name}" is an ensemble, and takes no tensors: use /v1/predict/${name}.`);
  }
  if (PROTOCOLS.some((protocol) => routeOf(catalog, manifest, protocol) !== undefined)) return;
  if (manifest.edge === false) {
    throw unavailable(`"${name}" needs an origin pool, and has none.`);
  }
  if (!isolate.host.fits(manifest)) throw unavailable(`"${name}" does not fit an edge isolate.`);
  if (isolate.host.isFailing(name, version, now())) {
    throw unavailable(`Loading "${name}" has just failed.`, { retryAfterSeconds: 1 });
  }
}

function unavailable(why: string, details: ErrorDetails = {}): NearsideError {
  return new NearsideError("model_unavailable", why, details);
}
