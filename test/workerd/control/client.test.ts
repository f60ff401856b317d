import { env } from "cloudflare:workers";
import * as v from "valibot";
import { beforeAll, describe, expect, it } from "vitest";

import { NANO_PER_DOLLAR } from "../../../src/billing/money.ts";
import { Catalog } from "../../../src/catalog/catalog.ts";
import type { CorpusManifest } from "../../../src/catalog/corpus.ts";
import type { Manifest } from "../../../src/catalog/manifest.ts";
import { CATALOG_KV_KEY } from "../../../src/catalog/reader.ts";
import * as sdk from "../../../src/client/index.ts";
import { priceOf } from "../../billing/support.ts";
import { DONE, dripping, event, token } from "../../client/scripted.ts";
import { CLIENT_CASES } from "../../client/suite.ts";
import { fakeOrigin } from "../../support/fake-origin.ts";
import { manifestOf } from "../../support/manifests.ts";
import { openEdge } from "../../support/paid-edge.ts";
import { payerOf } from "../../support/payer.ts";
import { putBlob } from "../../support/publish-graph.ts";
import { putCorpus } from "../../support/put-corpus.ts";
import {
  assetFile,
  modelFile,
  SHIPPED,
  type Shipped,
  sourceFile,
} from "../../support/shipped-names.ts";
import { bytesOf } from "../../support/stored-snapshots.ts";

/** A model that ships, published here. */
async function publish(name: string): Promise<Manifest> {
  const source = JSON.parse(new TextDecoder().decode(await bytesOf(sourceFile(name)))) as Shipped;
  const assets: Manifest["assets"] = {};
  for (const asset of source.assets) {
    assets[asset] = await putBlob(env.MODELS, await bytesOf(assetFile(name, asset)));
  }
  const graph = await putBlob(env.MODELS, await bytesOf(modelFile(name)));
  return manifestOf({ ...source, name, graph, assets });
}

const SENTENCES = [
  "A man is eating a piece of bread.",
  "A monkey is playing drums.",
  "A woman is playing violin.",
  "Two men pushed carts through the woods.",
];

/** What the local stack calls so, in short. @param edge embeds the texts */
async function putSentences(edge: sdk.Nearside): Promise<CorpusManifest> {
  const vectors = await edge.embed("minilm", SENTENCES);
  const rows = SENTENCES.map((text, index) => ({
    id: `sentence-${index + 1}`,
    text,
    vector: vectors[index] ?? [],
    metadata: { words: text.split(" ").length },
  }));
  const model = { name: "minilm", version: 1 };
  return putCorpus(env.MODELS, rows, { name: "sentences", texts: true, model });
}

async function putCatalog(corpora: Catalog["corpora"] = {}): Promise<void> {
  const one = (manifest: Manifest) => ({ versions: { 1: manifest }, labels: { stable: 1 } });
  const shipped = await Promise.all(SHIPPED.map(async (name) => [name, one(await publish(name))]));
  const task = { type: "text-generation", contextCharacters: 64 } as const;
  const scribe = one(manifestOf({ name: "scribe", edge: false, task }));
  const catalog = v.parse(Catalog, {
    schema: 1,
    number: 1,
    models: { ...Object.fromEntries(shipped), scribe: { ...scribe, origin: { pool: "words" } } },
    corpora,
    pools: { words: { protocol: "openai", endpoints: [{ url: "https://words.example.com" }] } },
    prices: [
      priceOf({ perUnit: { items: 3 }, model: "iris" }),
      priceOf({ id: "words", perUnit: { completion_tokens: 5 }, model: "scribe" }),
    ],
  });
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
}

/** A pool that streams three tokens. */
const pool = dripping([
  token("of"),
  token(" the"),
  token(" tide"),
  event({ choices: [{ delta: {}, finish_reason: "length" }], usage: { completion_tokens: 3 } }),
  DONE,
]);

describe("the client in workerd", () => {
  let options: sdk.NearsideOptions;
  beforeAll(async () => {
    await putCatalog();
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const origin = fakeOrigin(({ signal }) => pool(signal));
    const { key } = await payer.issue({ scopes: ["predict", "models"] });
    const baseUrl = "https://edge.test";
    /** An isolate of its own, which reads the catalog when it is first asked. */
    const open = async () => {
      const { begin } = await openEdge(payer, key, { ORIGIN: origin.binding });
      const fetch = async (url: string, init: RequestInit) =>
        (await begin(url.slice(baseUrl.length), init)).response;
      return { baseUrl, key, fetch };
    };
    const sentences = await putSentences(new sdk.Nearside(await open()));
    await putCatalog({ sentences: { versions: { 1: sentences }, labels: { stable: 1 } } });
    options = await open();
  });

  it.each([...CLIENT_CASES])("$title", async ({ run }) => {
    await expect(run({ sdk, options })).resolves.toBeUndefined();
  });
});
