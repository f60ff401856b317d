import { bundleWorkers, startEdge } from "../../src/cli/local-stack.ts";
import { encodeBinaryRequest } from "../../src/protocol/open-inference/binary.ts";
import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { prepareRuntime } from "../../src/publish/runtime.ts";
import { elementCount, type Tensor } from "../../src/runtime/tensor.ts";
import { publishGraph, putCatalog } from "../support/publish-graph.ts";
import { type BenchRequest, KeepAliveClient } from "./client.ts";
import { type Figure, figureOf, ratioOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";

/** Requests of each side in a sample; the sample is their median. */
const REQUESTS = 15;
const WARM_UP_REQUESTS = 30;

const TENSORS = {
  "224×224×3 image": [1, 224, 224, 3],
  "384×32 batch": [32, 384],
} as const;

/** Where the tensor is on the wire: in the request, in the answer, or in both. */
const WAYS = ["in", "out", "both"] as const;
type Way = (typeof WAYS)[number];

export interface WireCase {
  readonly tensor: string;
  readonly way: Way;
  readonly jsonMs: Figure;
  readonly binaryMs: Figure;
  /** How many times binary JSON costs. */
  readonly ratio: number;
}

/**
 * What an FP32 tensor costs on the wire as JSON and as bytes, asked in turn over HTTP from socket to socket: the
 * bodies are there already, and answers are read but not parsed. The graphs compute next to nothing.
 */
export async function wire(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly WireCase[] }> {
  say("bundling and publishing");
  await prepareRuntime();
  await bundleWorkers();
  const edge = await startEdge({ edgePort: 0 });
  try {
    const bucket = (await edge.miniflare.getR2Bucket("MODELS", "edge")) as unknown as R2Bucket;
    const namespace = await edge.miniflare.getKVNamespace("CATALOG", "edge");
    const questions = Object.entries(TENSORS).flatMap(([tensor, shape]) =>
      WAYS.map((way) => ({ tensor, way, shape, name: `${way}-${elementCount(shape)}` })),
    );
    const manifests = await Promise.all(
      questions.map(({ name, way, shape }) => publishGraph(bucket, name, graphOf(way, shape))),
    );
    await putCatalog(namespace as unknown as KVNamespace, manifests);
    const cases: WireCase[] = [];
    for (const { tensor, way, shape, name } of questions) {
      say(`${tensor}, ${way}`);
      const url = `${edge.edgeUrl}/v2/models/${name}/infer`;
      const x = floats(way === "out" ? [1] : shape);
      cases.push({ tensor, way, ...(await measure(url, x, samples)) });
    }
    return reportOf(cases);
  } finally {
    await edge.stop();
  }
}

/** A sum for a tensor that only comes, a constant for one that only goes, else the tensor itself. */
function graphOf(way: Way, shape: readonly number[]): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder(`wire-${way}`);
  graph.input("x", "FP32", way === "out" ? [1] : [...shape]);
  if (way === "in") graph.op("ReduceSum", ["x"], { keepdims: 0 }, "y");
  else if (way === "both") graph.op("Identity", ["x"], {}, "y");
  else graph.op("Identity", [graph.floats("W", floats(shape).data, shape)], {}, "y");
  graph.output("y", "FP32", way === "in" ? [] : [...shape]);
  return graph.toBytes();
}

/** Numbers of as many digits as any. */
function floats(shape: readonly number[]) {
  const data = Float32Array.from({ length: elementCount(shape) }, (_, at) =>
    Math.abs(Math.sin(at)),
  );
  return { datatype: "FP32", shape, data } as const satisfies Tensor;
}

async function measure(url: string, x: ReturnType<typeof floats>, samples: number) {
  const { body, headerLength } = encodeBinaryRequest({ inputs: { x } });
  const inJson = { name: "x", datatype: x.datatype, shape: x.shape, data: [...x.data] };
  const requests: Readonly<Record<"json" | "binary", BenchRequest>> = {
    json: { url, contentType: "application/json", body: JSON.stringify({ inputs: [inJson] }) },
    binary: {
      url,
      contentType: "application/octet-stream",
      headers: { "inference-header-content-length": String(headerLength) },
      body,
    },
  };
  const clients = { json: new KeepAliveClient(), binary: new KeepAliveClient() };
  const found = { json: [] as number[], binary: [] as number[] };
  for (let request = 0; request < WARM_UP_REQUESTS; request++) {
    await clients.json.send(requests.json);
    await clients.binary.send(requests.binary);
  }
  for (let sample = 0; sample < samples; sample++) {
    const times = { json: [] as number[], binary: [] as number[] };
    for (let request = 0; request < REQUESTS; request++) {
      times.json.push(await clients.json.send(requests.json));
      times.binary.push(await clients.binary.send(requests.binary));
    }
    found.json.push(figureOf(times.json).median);
    found.binary.push(figureOf(times.binary).median);
  }
  clients.json.close();
  clients.binary.close();
  const [jsonMs, binaryMs] = [figureOf(found.json), figureOf(found.binary)];
  return { jsonMs, binaryMs, ratio: ratioOf(jsonMs, binaryMs) };
}

function reportOf(cases: readonly WireCase[]): Report & { readonly cases: readonly WireCase[] } {
  return {
    cases,
    columns: ["tensor", "where", "JSON ms", "binary ms", "JSON : binary"],
    rows: cases.map(({ tensor, way, jsonMs, binaryMs, ratio }) => [
      tensor,
      way,
      spread(jsonMs),
      spread(binaryMs),
      ratio.toFixed(1),
    ]),
    picture: {
      title: "An FP32 tensor on the wire",
      unit: "ms",
      bars: cases.flatMap(({ tensor, way, jsonMs, binaryMs }) => [
        { label: `${tensor}, ${way}`, figure: jsonMs, kind: "JSON" },
        { label: "", figure: binaryMs, kind: "binary" },
      ]),
    },
  };
}
