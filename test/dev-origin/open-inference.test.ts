import { connect } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { graphOf } from "../../src/catalog/members.ts";
import {
  encodeBinaryRequest,
  decodeBinaryResponse,
} from "../../src/protocol/open-inference/binary.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { blobKey, manifestKey } from "../../src/store/layout.ts";
import { openOrigin, Shop } from "./support.ts";

const shop = new Shop();
let origin: Awaited<ReturnType<typeof openOrigin>>;
const failures: unknown[] = [];
beforeAll(async () => {
  await shop.publishScale("double", 1, 2);
  await shop.publishScale("double", 2, 20);
  await shop.publishScale("guest", 1, 2);
  await publishMirror();
  origin = await openOrigin(shop, { onError: (error) => failures.push(error) });
});
afterAll(() => origin.stop());

/** One input and output of each kind that has a width of its own. */
const MIRRORED = {
  texts: { datatype: "BYTES", shape: [2], data: ["é", ""] },
  bits: { datatype: "BOOL", shape: [3], data: Uint8Array.of(1, 0, 1) },
  halves: { datatype: "FP16", shape: [2], data: Uint16Array.of(0x3c00, 0xc000) },
  longs: { datatype: "INT64", shape: [2], data: BigInt64Array.of(-(2n ** 62n), 7n) },
  doubles: { datatype: "FP64", shape: [1], data: Float64Array.of(Math.PI) },
} satisfies Record<string, Tensor>;

async function publishMirror(): Promise<void> {
  const graph = new GraphBuilder("mirror");
  for (const [name, { datatype }] of Object.entries(MIRRORED)) {
    graph.op("Identity", [graph.input(name, datatype, ["length"])], {}, `${name}_again`);
    graph.output(`${name}_again`, datatype, ["length"]);
  }
  await shop.publishOnnx(graph.toBytes(), { name: "mirror" });
}

const input = (data: number[], shape = [1, 2]) => ({ name: "x", datatype: "FP32", shape, data });

describe("an inference with JSON", () => {
  it("answers what the model computes, by its stable version", async () => {
    const { status, json } = await origin.ask("/v2/models/double/infer", {
      id: "a",
      inputs: [input([1, 2.5])],
    });
    expect(status).toBe(200);
    expect(json).toEqual({
      model_name: "double",
      model_version: "1",
      id: "a",
      outputs: [{ name: "y", datatype: "FP32", shape: [1, 2], data: [2, 5] }],
    });
  });

  it("takes the version that the path names", async () => {
    const { json } = await origin.ask("/v2/models/double/versions/2/infer", {
      inputs: [input([1, 2])],
    });
    expect(json).toMatchObject({ model_version: "2", outputs: [{ data: [20, 40] }] });
  });

  it.each([
    ["another model", "/v2/models/none/infer", { inputs: [] }, 404, "model_not_found"],
    [
      "another version",
      "/v2/models/double/versions/9/infer",
      { inputs: [] },
      404,
      "version_not_found",
    ],
    ["no input", "/v2/models/double/infer", { inputs: [] }, 400, "invalid_tensor"],
    [
      "another shape",
      "/v2/models/double/infer",
      { inputs: [input([1], [1, 1])] },
      400,
      "invalid_tensor",
    ],
    [
      "too large a batch",
      "/v2/models/double/infer",
      {
        inputs: [
          input(
            Array.from({ length: 2050 }, () => 0),
            [1025, 2],
          ),
        ],
      },
      413,
      "batch_too_large",
    ],
    [
      "an output that is not there",
      "/v2/models/double/infer",
      { inputs: [input([1, 2])], outputs: [{ name: "z" }] },
      400,
      "invalid_tensor",
    ],
    ["no object", "/v2/models/double/infer", 7, 400, "invalid_request"],
    ["another path", "/v2/nothing", {}, 404, "route_not_found"],
    ["another method", "/v2/models/double", {}, 405, "method_not_allowed"],
  ])("refuses %s, with a sentence and a code", async (_, path, body, status, code) => {
    const answer = await origin.ask(path, body);
    expect(answer.status).toBe(status);
    expect(answer.json).toEqual({ error: expect.stringMatching(/\.$/), code });
  });
});

describe("an inference with bytes", () => {
  it("gives every kind of tensor back, bit for bit", async () => {
    const { body, headerLength } = encodeBinaryRequest({ inputs: MIRRORED });
    const answer = await fetch(`${origin.url}/v2/models/mirror/infer`, {
      method: "POST",
      headers: {
        "content-type": "application/octet-stream",
        "inference-header-content-length": String(headerLength),
      },
      body,
    });
    expect(answer.headers.get("content-type")).toBe("application/octet-stream");
    const outputs = decodeBinaryResponse(
      new Uint8Array(await answer.arrayBuffer()),
      Number(answer.headers.get("inference-header-content-length")),
    );
    for (const [name, tensor] of Object.entries(MIRRORED)) {
      expect(outputs[`${name}_again`]).toEqual(tensor);
    }
  });

  it("answers JSON to bytes, and bytes to JSON, as it is asked", async () => {
    const asked = { inputs: [input([3, 4])], parameters: { binary_data_output: true } };
    const { headers } = await origin.ask("/v2/models/double/infer", asked);
    expect(Number(headers.get("inference-header-content-length"))).toBeGreaterThan(0);
    const { headers: plain } = await origin.ask("/v2/models/double/infer", {
      ...asked,
      outputs: [{ name: "y", parameters: { binary_data: false } }],
    });
    expect(plain.get("content-type")).toBe("application/json");
    expect(plain.has("inference-header-content-length")).toBe(false);
  });

  it("refuses a header that says more than there is", async () => {
    const { status, json } = await origin.ask("/v2/models/double/infer", new Uint8Array(4), {
      "inference-header-content-length": "400",
    });
    expect([status, json]).toEqual([400, expect.objectContaining({ code: "invalid_request" })]);
  });
});

describe("the server", () => {
  it("says what it is, and that it is ready", async () => {
    expect((await origin.ask("/v2")).json).toMatchObject({
      extensions: ["binary_tensor_data", "model_repository"],
    });
    expect((await origin.ask("/v2/health/live")).json).toEqual({ live: true });
    expect((await origin.ask("/v2/health/ready")).json).toMatchObject({ ready: true });
    expect((await origin.ask("/v2/models/double")).json).toEqual({
      name: "double",
      versions: ["1", "2"],
      platform: "onnx_onnxv1",
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
      outputs: [{ name: "y", datatype: "FP32", shape: [-1, 2] }],
    });
  });

  it("finds what is published while it runs", async () => {
    const late = new Shop();
    const other = await openOrigin(late);
    expect((await other.ask("/v2/models/late")).status).toBe(404);
    await late.publishScale("late", 1, 3);
    expect((await other.ask("/v2/models/late")).status).toBe(200);
    await other.stop();
  });

  it("refuses a body that says it is too large before it comes", async () => {
    const { port } = new URL(origin.url);
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(Number(port), "127.0.0.1", () =>
        socket.write(
          `POST /v2/models/double/infer HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 ** 27}\r\n\r\n`,
        ),
      );
      let text = "";
      socket.on("data", (chunk) => (text += String(chunk)));
      socket.on("close", () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain("body_too_large");
  });

  it("leaves a request out whose deadline is over, and counts what it answers", async () => {
    const { status, json } = await origin.ask(
      "/v2/models/double/infer",
      { inputs: [input([1, 2])] },
      {
        "nearside-deadline": String(Date.now() - 1),
      },
    );
    expect([status, json]).toEqual([504, expect.objectContaining({ code: "deadline_exceeded" })]);
    const { text, headers } = await origin.ask("/metrics");
    expect(headers.get("content-type")).toContain("version=0.0.4");
    expect(text).toMatch(/^nearside_dev_origin_requests_total\{status="504"\} 1$/m);
    expect(text).toMatch(/^nearside_dev_origin_inferences_total\{model="mirror"\} 1$/m);
  });
});

describe("the model repository", () => {
  const stateOf = async (name: string) => {
    const { json } = await origin.ask("/v2/repository/index", {});
    return (json as { name: string; state: string }[]).find((one) => one.name === name)?.state;
  };

  it("loads a model by its first request, and by its name; unloaded it stays away", async () => {
    expect(await stateOf("guest")).toBe("UNAVAILABLE");
    expect((await origin.ask("/v2/models/guest/ready")).status).toBe(200);
    await origin.ask("/v2/models/guest/infer", { inputs: [input([1, 2])] });
    expect(await stateOf("guest")).toBe("READY");

    expect((await origin.ask("/v2/repository/models/guest/unload", {})).status).toBe(200);
    expect(await stateOf("guest")).toBe("UNAVAILABLE");
    expect((await origin.ask("/v2/models/guest/ready")).status).toBe(503);
    const refused = await origin.ask("/v2/models/guest/infer", { inputs: [input([1, 2])] });
    expect([refused.status, refused.json]).toEqual([
      503,
      expect.objectContaining({ code: "model_unavailable" }),
    ]);

    expect((await origin.ask("/v2/repository/models/guest/load", {})).status).toBe(200);
    expect(await stateOf("guest")).toBe("READY");
    const { json } = await origin.ask("/v2/repository/index", { ready: true });
    expect(json).toContainEqual({ name: "guest", version: "1", state: "READY" });
  });

  it("answers what was asked before it unloads", async () => {
    await origin.ask("/v2/repository/models/double/load", {});
    const [answer] = await Promise.all([
      origin.ask("/v2/models/double/infer", { inputs: [input([1, 2])] }),
      origin.ask("/v2/repository/models/double/unload", {}),
    ]);
    await origin.ask("/v2/repository/models/double/load", {});
    expect([200, 503]).toContain(answer.status);
    const { status } = await origin.ask("/v2/models/double/infer", { inputs: [input([1, 2])] });
    expect(status).toBe(200);
  });

  it("runs the origin's own build where there is one", async () => {
    const edge = await shop.publishScale("twofold", 1, 2);
    const graph = graphOf(await shop.publishScale("ten", 1, 10));
    await shop.publish({ ...edge, originBuild: { graph } });
    const fresh = await openOrigin(shop);
    const { json } = await fresh.ask("/v2/models/twofold/infer", { inputs: [input([1, 2])] });
    expect(json).toMatchObject({ outputs: [{ data: [10, 20] }] });
    await fresh.stop();
  });

  it("never answers from a damaged file", async () => {
    const graph = graphOf(await shop.publishScale("damaged", 1, 5));
    await shop.bucket.put(blobKey(graph.digest), new Uint8Array(graph.bytes));
    const fresh = await openOrigin(shop);
    const { status, json } = await fresh.ask("/v2/repository/models/damaged/load", {});
    expect([status, json]).toEqual([503, expect.objectContaining({ code: "model_damaged" })]);
    await fresh.stop();
    await shop.bucket.delete(manifestKey("damaged", 1));
  });
});

it("had no failure that it did not name", () => {
  expect(failures.filter((error) => !(error instanceof Error && "code" in error))).toEqual([]);
});
