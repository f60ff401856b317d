import { findChromium } from "../../../../test/support/chromium.ts";
import { type Check, hold } from "../check.ts";

/** Without one, the tests of the SDK in a browser are skipped. */
export const browser: Check<undefined> = {
  claim: "there is a Chromium to run the SDK in",
  async run() {
    hold(findChromium() !== undefined, "there is none: install Chromium, or set CHROMIUM");
    return {};
  },
};
