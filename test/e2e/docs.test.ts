import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { findChromium, launchChromium } from "../support/chromium.ts";
import { served } from "./served.ts";

const executable = findChromium();
const where =
  executable === undefined
    ? "in Chromium: skipped, because there is none here; install one, or set CHROMIUM"
    : "in Chromium";

/** The pages /docs of the bundled Workers, in a browser that reaches nothing but them. */
describe.skipIf(executable === undefined)(`/docs ${where}`, () => {
  const stack = served();
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium(executable ?? "");
  });
  afterAll(async () => {
    await browser?.close();
  });

  /** @returns what the browser complained of, and what it asked of other hosts */
  async function open(url: string) {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.route("**/*", (route) => {
      const asked = route.request().url();
      if (asked.startsWith(`${url}/`) || asked.startsWith("data:")) return route.continue();
      complaints.push(asked);
      return route.abort();
    });
    await page.goto(`${url}/docs`);
    await page.waitForSelector(".opblock");
    return { page, complaints };
  }

  const operations = (page: Page): Promise<number> => page.locator(".opblock").count();

  it.each([
    ["the edge", "edgeUrl", 40],
    ["the control plane", "controlUrl", 50],
  ] as const)("show the operations of %s, and ask no other host", async (name, url, fewest) => {
    const { page, complaints } = await open(stack[url]);
    expect(await page.title()).toBe(`Nearside: ${name}`);
    expect(await operations(page)).toBeGreaterThan(fewest);
    expect(await page.locator(".errors-wrapper").count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it("let a visitor ask iris, with what is filled in already", async () => {
    const { page, complaints } = await open(stack.edgeUrl);
    const predict = page.locator("#operations-Predict-post_v1_predict__model_");
    await predict.locator(".opblock-summary").first().click();
    await predict.locator("button.execute").click();
    const answer = predict.locator(".live-responses-table");
    await answer.waitFor();
    const text = await answer.innerText();
    expect(text).toContain('"label": "setosa"');
    expect(text).toContain("nearside-model: iris");
    expect(complaints).toEqual([]);
  });
});
