import { readFile } from "node:fs/promises";
import path from "node:path";

import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const WORKERD = "test/workerd/**/*.test.ts";
const CONTROL = "test/workerd/control/**/*.test.ts";
const ORIGIN = "test/workerd/origin/**/*.test.ts";
/** Those that share one running stack; other end-to-end tests break theirs, or need it cold. */
const SERVED = ["client", "clients", "docs", "ocr"].map((name) => `test/e2e/${name}.test.ts`);
/** Written by test/global-setup.ts. */
const SNAPSHOTS = path.join(import.meta.dirname, ".nearside/test/snapshots");

/** The binding TEST_FILES: tests inside workerd have no files, and can't take snapshots. */
async function readTestFile({ url }: { readonly url: string }): Promise<Response> {
  const name = path.basename(new URL(url).pathname);
  try {
    return new Response(await readFile(path.join(SNAPSHOTS, name)));
  } catch {
    return new Response(null, { status: 404 });
  }
}

/** The bindings ORIGIN, LEDGERS and STATISTICS: tests of the edge bring their own. */
function nobody(): Response {
  return new Response(null, { status: 503 });
}

export default defineConfig({
  test: {
    // A core for each: with two there would be one that works, and one that looks on.
    maxWorkers: "100%",
    projects: [
      {
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: [WORKERD, ...SERVED],
          globalSetup: ["test/global-setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: "e2e",
          include: SERVED,
          globalSetup: ["test/global-setup.ts", "test/e2e/served.ts"],
          testTimeout: 60_000,
          hookTimeout: 180_000,
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "workers/edge/index.ts",
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              serviceBindings: {
                TEST_FILES: readTestFile,
                ORIGIN: nobody,
                LEDGERS: nobody,
                STATISTICS: nobody,
              },
            },
          }),
        ],
        test: {
          name: "workerd",
          include: [WORKERD],
          exclude: [CONTROL, ORIGIN],
          globalSetup: ["test/global-setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "workers/control/index.ts",
            wrangler: { configPath: "./workers/control/wrangler.toml" },
            miniflare: {
              bindings: { ADMIN_TOKEN: "the-operators-secret" },
              serviceBindings: { TEST_FILES: readTestFile },
            },
          }),
        ],
        test: {
          name: "control",
          include: [CONTROL],
          globalSetup: ["test/global-setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "workers/origin/index.ts",
            wrangler: { configPath: "./workers/origin/wrangler.toml" },
          }),
        ],
        test: { name: "origin", include: [ORIGIN], testTimeout: 60_000 },
      },
    ],
    coverage: { provider: "istanbul", include: ["src/**/*.ts", "workers/**/*.ts"] },
  },
});
