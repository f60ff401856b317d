import { expect, it } from "vitest";

import { size } from "../../src/publish/size.ts";

it.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [999_949, "999.9 kB"],
  [999_950, "1.0 MB"],
  [23_516_160, "23.5 MB"],
])("shows %i bytes as %s", (bytes, shown) => {
  expect(size(bytes)).toBe(shown);
});
