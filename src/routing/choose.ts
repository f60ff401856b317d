import { type Catalog, STABLE } from "../catalog/catalog.ts";
import type { Manifest } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";

/** What a request's URL names. */
export interface Target {
  readonly model: string;
  /** A version's number or a label; `stable` when absent. */
  readonly version?: string | undefined;
}

/** @throws NearsideError `model_not_found`, `version_not_found` */
export function chooseVersion(catalog: Catalog, { model: name, version }: Target): Manifest {
  const model = Object.hasOwn(catalog.models, name) ? catalog.models[name] : undefined;
  if (model === undefined) {
    throw new NearsideError("model_not_found", `There is no model "${shown(name)}".`, {
      field: "model",
    });
  }
  const wanted = version ?? STABLE;
  const number = Object.hasOwn(model.labels, wanted) ? model.labels[wanted] : wanted;
  const manifest = Object.hasOwn(model.versions, String(number))
    ? model.versions[String(number)]
    : undefined;
  if (manifest === undefined) {
    const known = [...Object.keys(model.versions), ...Object.keys(model.labels)].join(", ");
    throw new NearsideError(
      "version_not_found",
      `"${name}" has no version "${shown(wanted)}"; it has ${known}.`,
      {
        field: "version",
      },
    );
  }
  return manifest;
}

/** A name from a URL may be as long as the URL. */
const SHOWN_CHARACTERS = 64;

function shown(name: string): string {
  return name.length > SHOWN_CHARACTERS ? `${name.slice(0, SHOWN_CHARACTERS)}…` : name;
}
