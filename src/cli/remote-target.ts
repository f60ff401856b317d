import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import type { PublishTarget } from "../publish/bucket.ts";
import { GENERATED } from "../publish/workspace.ts";
import { EDGE_CONFIG } from "./local-store.ts";
import type { Target } from "./target.ts";
import { UserError } from "./user-error.ts";

interface RemoteEnv {
  readonly MODELS: PublishTarget["bucket"];
  readonly CATALOG: PublishTarget["namespace"];
}

/** The part of wrangler.toml that is needed here; wrangler's own type of it is not published. */
const Config = v.object({
  compatibility_date: v.string(),
  r2_buckets: v.array(v.looseObject({ binding: v.string(), bucket_name: v.string() })),
  kv_namespaces: v.array(v.looseObject({ binding: v.string(), id: v.string() })),
});

/** A namespace's id, as Cloudflare gives it out. */
const NAMESPACE_ID = /^[0-9a-f]{32}$/;

/**
 * Opens the account's bucket and namespace, as wrangler.toml names them, through wrangler's remote
 * bindings. No test covers this beyond its refusals: it needs an account.
 *
 * @throws UserError when nobody is logged in, or wrangler.toml names no real namespace
 */
export async function openRemoteTarget(wranglerConfig = EDGE_CONFIG): Promise<Target> {
  // The standard output belongs to the command.
  process.env["WRANGLER_LOG"] ??= "error";
  const { getPlatformProxy, unstable_readConfig } = await import("wrangler");
  const config = v.parse(Config, unstable_readConfig({ config: wranglerConfig }));
  const bucket = config.r2_buckets.find(({ binding }) => binding === "MODELS");
  const namespace = config.kv_namespaces.find(({ binding }) => binding === "CATALOG");
  if (!NAMESPACE_ID.test(namespace?.id ?? "")) {
    throw new UserError(
      `wrangler.toml names no namespace of an account: "${namespace?.id}" is no id. ` +
        "Run `npx wrangler kv namespace create nearside-catalog` and put the id that it prints there.",
    );
  }
  const folder = path.join(GENERATED, "remote");
  const configPath = path.join(folder, "wrangler.json");
  await mkdir(folder, { recursive: true });
  const remote = {
    name: "nearside-cli",
    compatibility_date: config.compatibility_date,
    r2_buckets: [{ ...bucket, remote: true }],
    kv_namespaces: [{ ...namespace, remote: true }],
  };
  await writeFile(configPath, JSON.stringify(remote, undefined, 2));
  try {
    const proxy = await getPlatformProxy<RemoteEnv>({ configPath, persist: false });
    return {
      bucket: proxy.env.MODELS,
      namespace: proxy.env.CATALOG,
      where: `the bucket ${bucket?.bucket_name ?? ""} of your account`,
      close: () => proxy.dispose(),
    };
  } catch (cause) {
    throw new UserError(
      "The bucket of your account can't be opened. Log in with `npx wrangler login`, or set " +
        `CLOUDFLARE_API_TOKEN, and see that the bucket exists. wrangler says: ${(cause as Error).message}`,
      { cause },
    );
  }
}
