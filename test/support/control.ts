import { env } from "cloudflare:workers";

import type { CatalogSource } from "../../src/catalog/catalog.ts";
import { changeCatalog } from "../../src/catalog/changes.ts";
import type { ControlContext } from "../../src/control/context.ts";
import { route } from "../../src/control/router.ts";
import { CATALOG_SOURCE_KEY, manifestKey } from "../../src/store/layout.ts";
import { contextOf } from "../../workers/control/index.ts";
import { manifestOf } from "./manifests.ts";

export const TOKEN = "the-operators-secret";

/** The control plane over the test's own bindings. */
export function controlOf(overrides: Partial<ControlContext> = {}) {
  const send = async (path: string, init: RequestInit = {}): Promise<Response> =>
    route(new Request(`https://control.test${path}`, init), {
      ...contextOf(env, "request-1"),
      ...overrides,
    });
  /** As the operator, with JSON both ways. */
  const ask = async (
    method: string,
    path: string,
    { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
  ) => {
    const response = await send(path, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const etag = response.headers.get("etag") ?? "";
    return {
      status: response.status,
      headers: response.headers,
      etag,
      json: await response.json(),
    };
  };
  const get = (path: string) => ask("GET", path);
  return { send, ask, get };
}

/** An empty bucket, then these models with versions of no content, in a catalog of their own. */
export async function publishModels(
  models: Readonly<Record<string, readonly number[]>>,
  more: Partial<CatalogSource> = {},
): Promise<void> {
  const { objects } = await env.MODELS.list();
  await env.MODELS.delete(objects.map(({ key }) => key));
  for (const [name, versions] of Object.entries(models)) {
    for (const version of versions) {
      const manifest = manifestOf({ name, version });
      await env.MODELS.put(manifestKey(name, version), JSON.stringify(manifest));
    }
  }
  const entries = Object.entries(models).map(([name, versions]) => [
    name,
    { versions: [...versions], labels: { stable: versions[0] ?? 1 } },
  ]);
  await changeCatalog(
    { bucket: env.MODELS, namespace: env.CATALOG },
    { by: "the test", change: "models are published", now: 0 },
    (source) => ({ ...source, models: Object.fromEntries(entries), ...more }),
  );
}

/** The bytes of `catalog.json`. */
export async function catalogBytes(): Promise<string> {
  return (await (await env.MODELS.get(CATALOG_SOURCE_KEY))?.text()) ?? "";
}
