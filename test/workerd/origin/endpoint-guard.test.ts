import { describe, expect, it } from "vitest";

import { isPrivateAddress } from "../../../src/origin/endpoint-guard.ts";
import { PRIVATE, PUBLIC } from "../../origin/addresses.ts";

describe("isPrivateAddress with the runtime's own URL parser", () => {
  it.each(PRIVATE)("refuses %s: %s", (_, url) => {
    expect(isPrivateAddress(url)).toBe(true);
  });

  it.each(PUBLIC)("lets %s through", (url) => {
    expect(isPrivateAddress(url)).toBe(false);
  });
});
