import type { Browser, Page } from "playwright-core";
import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import { connectControl } from "../../src/cli/nearside/control-client.ts";
import { modelsOfEdge } from "../../src/cli/nearside/types-of-edge.ts";
import { openAccount, setPrice } from "../../src/cli/prove/billing/customer.ts";
import * as sdk from "../../src/client/index.ts";
import { serveSuite } from "../client/browser-page.ts";
import { CLIENT_CASES } from "../client/suite.ts";
import { findChromium, launchChromium } from "../support/chromium.ts";
import { served } from "./served.ts";

/** The client against the bundled Workers and the models that ship, with iris for money. */
let options: sdk.NearsideOptions;
beforeAll(async () => {
  const stack = served();
  const control = connectControl({
    url: stack.controlUrl,
    token: stack.adminToken,
    actor: "the test",
  });
  await setPrice(control);
  await control.change("/v1/prices", v.looseObject({}), {
    method: "POST",
    body: {
      id: "words",
      model: "scribe",
      perRequest: 100,
      perUnit: { completion_tokens: 5 },
      from: "2026-01-01T00:00:00Z",
    },
  });
  const { account } = await openAccount(control, {}, 1_000_000_000);
  const { key } = await control.change(
    `/v1/accounts/${account}/keys`,
    v.looseObject({ key: v.string() }),
    { method: "POST", body: { name: "suite", kind: "live", scopes: ["predict", "models"] } },
  );
  options = { baseUrl: stack.edgeUrl, key };
  // An isolate that another file has asked keeps its catalog for a while.
  await vi.waitFor(isPriced, { timeout: 60_000, interval: 500 });
});

/** Whether the edge knows the prices: scribe's was set last. */
async function isPriced(): Promise<void> {
  const stream = new sdk.Nearside(options).stream("scribe", { prompt: "The sea", max_tokens: 1 });
  await stream.text();
  expect((await stream.meta()).costNano).toBeGreaterThan(0);
}

describe("the client in Node", () => {
  it.each([...CLIENT_CASES])("$title", async ({ run }) => {
    await expect(run({ sdk, options })).resolves.toBeUndefined();
  });
});

it("tells whoever has a key what types there are", async () => {
  const models = await modelsOfEdge(options.baseUrl, options.key);
  expect(models).toContainEqual(
    expect.objectContaining({
      name: "iris",
      versions: [1, "stable"],
      inputs: [{ name: "features", datatype: "FP32", shape: [-1, 4] }],
    }),
  );
});

const executable = findChromium();
const where =
  executable === undefined
    ? "in Chromium: skipped, because there is none here; install one, or set CHROMIUM"
    : "in Chromium";

describe.skipIf(executable === undefined)(`the built client ${where}`, () => {
  let browser: Browser;
  let page: Page;
  let suite: Awaited<ReturnType<typeof serveSuite>>;
  beforeAll(async () => {
    suite = await serveSuite();
    browser = await launchChromium(executable ?? "");
    page = await browser.newPage();
    await page.goto(suite.url);
  });
  afterAll(async () => {
    await browser?.close();
    suite?.stop();
  });

  it.each(CLIENT_CASES.map(({ title }) => title))("%s", async (title) => {
    const ran = page.evaluate(`runCase(${JSON.stringify(title)}, ${JSON.stringify(options)})`);
    await expect(ran).resolves.toBe("done");
  });
});
