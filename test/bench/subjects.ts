import path from "node:path";

import { type ExampleRequest, graphFolders, readExample } from "../../src/cli/examples.ts";
import { bundleWorkers, startEdge } from "../../src/cli/local-stack.ts";
import type { Manifest } from "../../src/catalog/manifest.ts";
import { type BuiltModel, buildModel } from "../../src/publish/build.ts";
import { publishFolder } from "../../src/publish/publish.ts";
import { prepareRuntime } from "../../src/publish/runtime.ts";
import { feedsOf, readFixtures } from "../../src/publish/source.ts";
import { GENERATED } from "../../src/publish/workspace.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { blobKey, manifestKey } from "../../src/store/layout.ts";
import { bundleBenchWorker, startBenchWorker } from "./worker.ts";
import { assetKey, snapshotKey, wholeModelKey } from "./workers/cold/keys.ts";

/** Buckets of the obvious Worker and of Nearside's edge; kept, so that only the first run publishes. */
export const BENCH_STATE = path.join(GENERATED, "bench", "cold");
export const EDGE_STATE = path.join(GENERATED, "bench", "edge");

/** A model that ships, published for both sides. */
export interface Subject {
  readonly model: string;
  readonly manifest: Manifest;
  readonly built: BuiltModel;
  readonly example: ExampleRequest;
  /** Inputs of the first fixture, for sessions and as JSON. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly feedsJson: string;
}

export interface Prepared {
  readonly subjects: readonly Subject[];
  /** Bundle of the Worker that the bench compares with. */
  readonly benchFolder: string;
}

/** Publishes the models as Nearside does, and puts whole files into the obvious Worker's bucket. */
export async function prepareSubjects(say: (line: string) => void): Promise<Prepared> {
  say("bundling and publishing");
  await prepareRuntime();
  await bundleWorkers();
  const benchFolder = await bundleBenchWorker("cold");
  const edge = await startEdge({ edgePort: 0, stateFolder: EDGE_STATE });
  const bench = await startBenchWorker(benchFolder, BENCH_STATE);
  const bucket = await bench.miniflare.getR2Bucket("MODELS", "bench");
  const subjects: Subject[] = [];
  try {
    for (const folder of await graphFolders()) {
      const model = path.basename(folder);
      const manifest = await publishFolder(folder, edge.target, say, { replace: true });
      const { snapshot } = manifest;
      if (snapshot === undefined) throw new Error(`${model} was published without a snapshot.`);
      const built = await buildModel(folder);
      const blob = await edge.target.bucket.get(blobKey(snapshot.digest));
      if (blob === null) throw new Error(`The snapshot of ${model} is not in the bucket.`);
      await bucket.put(manifestKey(model, 1), JSON.stringify(manifest));
      await bucket.put(wholeModelKey(model), built.onnx);
      await bucket.put(snapshotKey(model), await blob.arrayBuffer());
      for (const [name, bytes] of Object.entries(built.assets)) {
        await bucket.put(assetKey(model, name), bytes);
      }
      const [first] = (await readFixtures(folder)).cases;
      if (first === undefined) throw new Error(`${model} has no fixture.`);
      subjects.push({
        model,
        manifest,
        built,
        example: shortened(await readExample(folder)),
        feeds: feedsOf(first),
        feedsJson: JSON.stringify(first.inputs),
      });
    }
  } finally {
    await edge.stop();
    await bench.stop();
  }
  return { subjects, benchFolder };
}

const WAV_HEADER_BYTES = 44;
/** One second at 16 kHz and 16 bits, from where speech begins in the recording. */
const SHORT_AUDIO = { startBytes: 2 * 11_296, bytes: 2 * 16_000 };

/** A first answer is about getting ready: seconds of audio would be measured instead. */
function shortened(example: ExampleRequest): ExampleRequest {
  if (example.contentType !== "audio/wav") return example;
  const { startBytes, bytes } = SHORT_AUDIO;
  const body = new Uint8Array(WAV_HEADER_BYTES + bytes);
  body.set(example.body.subarray(0, WAV_HEADER_BYTES));
  const start = WAV_HEADER_BYTES + startBytes;
  body.set(example.body.subarray(start, start + bytes), WAV_HEADER_BYTES);
  const view = new DataView(body.buffer);
  view.setUint32(4, body.length - 8, true);
  view.setUint32(40, bytes, true);
  return { ...example, body };
}
