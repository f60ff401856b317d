import jpeg from "@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm";
import png from "@jsquash/png/codec/pkg/squoosh_png_bg.wasm?module";
import webp from "@jsquash/webp/codec/dec/webp_dec.wasm";

import wasm from "../../../../.nearside/runtime/ort.wasm";
import identity from "../../../../.nearside/runtime/runtime.json";
import type { Manifest } from "../../../../src/catalog/manifest.ts";
import { createSession } from "../../../../src/runtime/create-session.ts";
import {
  instantiate,
  instantiateBare,
  type OrtInstance,
  startEnvironment,
  startOrt,
} from "../../../../src/runtime/ort-module.ts";
import { OrtSession } from "../../../../src/runtime/session.ts";
import { PAGE_BYTES } from "../../../../src/runtime/snapshot/format.ts";
import { memoryOfLength, PageReader } from "../../../../src/runtime/snapshot/page-reader.ts";
import type { Tensor } from "../../../../src/runtime/tensor.ts";
import { CHUNK_BYTES, chunkReader } from "../../../../src/store/chunk-reader.ts";
import { manifestKey } from "../../../../src/store/layout.ts";
import { runHere } from "../../../../src/tasks/drive.ts";
import { taskFor } from "../../../../src/tasks/index.ts";
import { assetKey, snapshotKey, wholeModelKey } from "./keys.ts";

interface Env {
  readonly MODELS: R2Bucket;
}

interface Ready {
  readonly session: OrtSession;
  readonly memory: WebAssembly.Memory;
}

/** A loaded model of the obvious Worker: kept from request to request, never given back. */
const kept = new Map<string, Promise<{ session: OrtSession; resources: unknown }>>();

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const [, route = "", kind = "", model = ""] = pathname.split("/");
    const manifest = await readManifest(env, route === "predict" ? kind : model);
    if (route === "predict") return predict(request, env, manifest);
    if (route === "run")
      return Response.json(await measureRuns(env, manifest, await request.text()));
    if (route === "fill") return Response.json(await fill(kind, env, manifest));
    return Response.json(await measureLoad(kind, env, manifest, await request.text()));
  },
} satisfies ExportedHandler<Env>;

const TOOLS = { codecs: { jpeg, png, webp } };

async function readManifest(env: Env, model: string): Promise<Manifest> {
  const stored = await env.MODELS.get(manifestKey(model, 1));
  if (stored === null) throw new Error(`The bench has published no "${model}".`);
  return stored.json<Manifest>();
}

async function readWhole(env: Env, key: string): Promise<Uint8Array<ArrayBuffer>> {
  const stored = await env.MODELS.get(key);
  if (stored === null) throw new Error(`The bench has stored no "${key}".`);
  return new Uint8Array(await stored.arrayBuffer());
}

/** The obvious Worker: fetch the ONNX file whole, create a session, run. The task is Nearside's own. */
async function predict(request: Request, env: Env, manifest: Manifest): Promise<Response> {
  const task = taskFor(manifest);
  if (task === undefined) throw new Error(`"${manifest.name}" has no task.`);
  const type = request.headers.get("content-type") ?? "";
  const bytes = new Uint8Array(await request.arrayBuffer());
  const input = task.decode(
    type === "application/json"
      ? { kind: "json", parameters: {}, ...JSON.parse(new TextDecoder().decode(bytes)) }
      : { kind: "raw", mediaType: type, mediaParameters: {}, bytes, parameters: {} },
  );
  let loading = kept.get(manifest.name);
  if (loading === undefined) {
    loading = loadWhole(env, manifest);
    kept.set(manifest.name, loading);
  }
  const { session, resources } = await loading;
  return Response.json(runHere(task.run(resources, input), session).output);
}

async function loadWhole(env: Env, manifest: Manifest) {
  const names = Object.keys(manifest.assets);
  const [graph, ...assets] = await Promise.all([
    readWhole(env, wholeModelKey(manifest.name)),
    ...names.map((name) => readWhole(env, assetKey(manifest.name, name))),
  ]);
  const session = createSession(await startOrt(wasm), { graph });
  const byName = Object.fromEntries(
    names.map((name, at) => [name, assets[at] ?? new Uint8Array()]),
  );
  return { session, resources: taskFor(manifest)?.prepare(byName, TOOLS) };
}

/**
 * From bytes at hand to session ready, then the first run. Both sides start the module while the bytes are
 * on their way. The plain one needs the whole file in hand; the restored one takes each chunk as it comes,
 * as the edge does, and what it does with them is added up. The digest, which the obvious Worker does not
 * check, is measured beside it.
 */
async function measureLoad(kind: string, env: Env, manifest: Manifest, feeds: string) {
  const { session, memory, startMs, digestMs, loadMs } =
    kind === "plain" ? await loadPlain(env, manifest) : await loadRestored(env, manifest);
  const tensors = feedsOf(feeds);
  const running = performance.now();
  session.run(tensors);
  const ran = performance.now();
  return {
    startMs,
    digestMs,
    loadMs,
    firstRunMs: ran - running,
    heapBytes: session.heapBytes,
    touchedBytes: touchedBytes(memory),
  };
}

interface Loaded extends Ready {
  readonly startMs: number;
  readonly digestMs: number;
  readonly loadMs: number;
}

async function loadPlain(env: Env, manifest: Manifest): Promise<Loaded> {
  const fetching = readWhole(env, wholeModelKey(manifest.name));
  const starting = performance.now();
  const instance = await startFor("plain", manifest);
  const startMs = performance.now() - starting;
  const bytes = await fetching;
  const began = performance.now();
  const ready = createIn(instance, bytes);
  return { ...ready, startMs, digestMs: 0, loadMs: performance.now() - began };
}

async function loadRestored(env: Env, manifest: Manifest): Promise<Loaded> {
  const fetching = env.MODELS.get(snapshotKey(manifest.name));
  const starting = performance.now();
  const instance = await startFor("restored", manifest);
  const startMs = performance.now() - starting;
  const stored = await fetching;
  if (stored === null) throw new Error(`The bench has no snapshot of ${manifest.name}.`);
  const chunks = chunkReader(stored.body, CHUNK_BYTES);
  const reader = pageReaderInto(instance);
  const hash = new crypto.DigestStream("SHA-256");
  const digesting = hash.getWriter();
  let loadMs = 0;
  let digestMs = 0;
  for (;;) {
    const chunk = await chunks.read();
    if (chunk === undefined) break;
    const began = performance.now();
    reader.write(chunk);
    const copied = performance.now();
    await digesting.write(chunk);
    loadMs += copied - began;
    digestMs += performance.now() - copied;
  }
  await digesting.close();
  await hash.digest;
  const began = performance.now();
  const ready = sessionIn(instance, reader, manifest);
  return { ...ready, startMs, digestMs, loadMs: loadMs + performance.now() - began };
}

/** Runs take less than the clock of a Worker shows: many are timed together. */
const RUNS_PER_SAMPLE = 50;
const RUN_SAMPLES = 15;

/** The bare session in a warm isolate: milliseconds of a run, several samples. */
async function measureRuns(env: Env, manifest: Manifest, feeds: string): Promise<number[]> {
  const bytes = await readWhole(env, snapshotKey(manifest.name));
  const { session } = restoreIn(await startFor("restored", manifest), bytes, manifest);
  const tensors = feedsOf(feeds);
  for (let run = 0; run < RUNS_PER_SAMPLE; run++) session.run(tensors);
  return Array.from({ length: RUN_SAMPLES }, () => {
    const began = performance.now();
    for (let run = 0; run < RUNS_PER_SAMPLE; run++) session.run(tensors);
    return (performance.now() - began) / RUNS_PER_SAMPLE;
  });
}

/** What an edge isolate may spend on models: MODEL_BUDGET_BYTES of wrangler.toml. */
const BUDGET_BYTES = 100_663_296;

/** Loads the model again and again, for as long as the instances' memories fit the budget. */
async function fill(kind: string, env: Env, manifest: Manifest) {
  const isPlain = kind === "plain";
  const key = isPlain ? wholeModelKey(manifest.name) : snapshotKey(manifest.name);
  const bytes = await readWhole(env, key);
  const held: Ready[] = [];
  let heapBytes = 0;
  let touched = 0;
  for (;;) {
    const instance = await startFor(kind, manifest);
    const ready = isPlain ? createIn(instance, bytes) : restoreIn(instance, bytes, manifest);
    if (heapBytes + ready.session.heapBytes > BUDGET_BYTES) break;
    held.push(ready);
    heapBytes += ready.session.heapBytes;
    touched += touchedBytes(ready.memory);
  }
  return { fit: held.length, heapBytes, touchedBytes: touched };
}

function startFor(kind: string, { memory }: Manifest): Promise<OrtInstance> {
  return kind === "plain"
    ? instantiate(wasm, () => true)
    : instantiateBare(wasm, () => true, identity.startup, memory.heapBytes);
}

function createIn(instance: OrtInstance, graph: Uint8Array): Ready {
  startEnvironment(instance);
  return { session: createSession(instance, { graph }), memory: instance.memory };
}

function restoreIn(instance: OrtInstance, bytes: Uint8Array, manifest: Manifest): Ready {
  const reader = pageReaderInto(instance);
  reader.write(bytes);
  return sessionIn(instance, reader, manifest);
}

function pageReaderInto({ memory }: OrtInstance): PageReader {
  return new PageReader(({ memoryBytes }) => memoryOfLength(memory, memoryBytes));
}

function sessionIn(instance: OrtInstance, reader: PageReader, of: Manifest): Ready {
  const { handles } = reader.end();
  const { inputs, outputs } = of;
  const session = new OrtSession(instance, { ...handles, inputs, outputs });
  return { session, memory: instance.memory };
}

function feedsOf(text: string): Record<string, Tensor> {
  const fixtures = JSON.parse(text) as Record<
    string,
    { datatype: "FP32" | "INT64" | "INT32"; shape: number[]; data: number[] }
  >;
  return Object.fromEntries(
    Object.entries(fixtures).map(([name, { datatype, shape, data }]) => [
      name,
      datatype === "INT64"
        ? { datatype, shape, data: BigInt64Array.from(data, BigInt) }
        : datatype === "INT32"
          ? { datatype, shape, data: Int32Array.from(data) }
          : { datatype, shape, data: Float32Array.from(data) },
    ]),
  );
}

/** Pages that hold anything but zeros: what the machine has to keep. */
function touchedBytes(memory: WebAssembly.Memory): number {
  const words = new Float64Array(memory.buffer);
  const bits = new BigUint64Array(memory.buffer);
  const perPage = PAGE_BYTES / 8;
  let pages = 0;
  for (let start = 0; start < words.length; start += perPage) {
    for (let at = start; at < start + perPage; at++) {
      // -0 is not zero as bits; comparing floats first is fast.
      if (words[at] !== 0 || bits[at] !== 0n) {
        pages++;
        break;
      }
    }
  }
  return pages * PAGE_BYTES;
}
