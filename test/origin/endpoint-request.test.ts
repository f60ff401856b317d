import { describe, expect, it } from "vitest";

import { urlOf } from "../../src/origin/endpoint-request.ts";

describe("the address of a path at an endpoint", () => {
  it.each([
    ["https://a.example.com", "v2/models/m/infer", "https://a.example.com/v2/models/m/infer"],
    ["https://a.example.com/", "v2/models/m/infer", "https://a.example.com/v2/models/m/infer"],
    ["https://a.example.com/triton", "v2", "https://a.example.com/triton/v2"],
    ["https://a.example.com/v1", "v1/models", "https://a.example.com/v1/models"],
    ["https://a.example.com/v1/", "v1/models?a=b", "https://a.example.com/v1/models?a=b"],
    ["https://a.example.com/v1", "v2/health/ready", "https://a.example.com/v1/v2/health/ready"],
  ])("%s, %s", (url, path, expected) => {
    expect(urlOf({ url, weight: 1 }, path, "open-inference")).toBe(expected);
  });

  it.each([
    ["v2/models/m", "v2/models/other"],
    ["v2/models/m/infer", "v2/models/other/infer"],
    ["v2/models/m/versions/1/infer", "v2/models/other/versions/1/infer"],
    ["v2/health/ready", "v2/health/ready"],
  ])("names the model as the endpoint does: %s", (path, expected) => {
    const endpoint = { url: "https://a.example.com", weight: 1, model: "other" };
    expect(urlOf(endpoint, path, "open-inference")).toBe(`https://a.example.com/${expected}`);
  });
});
