import { describe, expect, it } from "vitest";

import { TOKEN, controlOf } from "../../support/control.ts";

const { send } = controlOf();

const put = (body: BodyInit, headers: Record<string, string> = {}) =>
  send("/v1/evaluators", {
    method: "PUT",
    headers: {
      authorization: `Bearer ${TOKEN}`,
      "if-match": "*",
      "content-type": "application/json",
      ...headers,
    },
    body,
  });

describe("a request to the control plane", () => {
  it.each<[string, () => Promise<Response>, number, object]>([
    ["no JSON", () => put("{"), 400, { code: "invalid_json" }],
    ["no UTF-8", () => put(new Uint8Array([0xff])), 400, { code: "invalid_json" }],
    ["no body", () => put(""), 400, { code: "invalid_request", field: "body" }],
    ["a list", () => put("[1]"), 400, { code: "invalid_request" }],
    [
      "another media type",
      () => put("{}", { "content-type": "text/plain" }),
      415,
      { code: "unsupported_media_type", detail: expect.stringContaining("application/json") },
    ],
    ["more than 1 MiB", () => put(`"${"x".repeat(1_048_577)}"`), 413, { code: "body_too_large" }],
  ])("with %s for a body is refused", async (_, ask, status, problem) => {
    const response = await ask();
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject(problem);
  });

  it("to nowhere, or by a method that is none, is told where to go", async () => {
    const nowhere = await send("/v2/models");
    expect(nowhere.status).toBe(404);
    expect(await nowhere.json()).toMatchObject({ code: "route_not_found" });
    const wrong = await send("/v1/models/m/flag", { method: "PATCH" });
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get("allow")?.split(", ").toSorted()).toEqual([
      "DELETE",
      "GET",
      "HEAD",
      "PUT",
    ]);
  });

  it("is answered with its id, and by no word that lets another site read the answer", async () => {
    const { headers } = await send("/");
    expect(headers.get("x-request-id")).toBe("request-1");
    expect(headers.has("access-control-allow-origin")).toBe(false);
  });

  it("by HEAD gets what GET would, without the body", async () => {
    const response = await send("/", { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
  });

  it("hears nothing of what goes wrong inside", async () => {
    const logged: unknown[] = [];
    const broken = controlOf({
      store: {
        bucket: {
          get: () => Promise.reject(new Error("secret")),
          put: () => Promise.resolve(null),
        },
        namespace: { put: () => Promise.resolve() },
      },
      log: { warn() {}, error: (_, cause) => void logged.push(cause) },
    });
    const { status, json } = await broken.get("/v1/catalog");
    expect(status).toBe(500);
    expect(JSON.stringify(json)).not.toContain("secret");
    expect(logged).toEqual([new Error("secret")]);
  });
});
