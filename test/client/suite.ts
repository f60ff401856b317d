import type * as Client from "../../src/client/index.ts";
import { failure, holds, near, same } from "./claims.ts";
import { FAULT_CASES } from "./suite-faults.ts";

/** Where the suite runs: the client as it is there, and a real edge with iris, guesslang, minilm and scribe, of
 * which iris and scribe have a price, and the corpus `sentences`. */
export interface World {
  readonly sdk: typeof Client;
  readonly options: Client.NearsideOptions;
}

export interface ClientCase {
  readonly title: string;
  /** @throws Error when it does not hold */
  run(world: World): Promise<void>;
}

const SETOSA = [5.1, 3.5, 1.4, 0.2] as const;
const VIRGINICA = [6.3, 3.3, 6.0, 2.5] as const;
const PYTHON = "import os\n\ndef main():\n    for name in os.listdir('.'):\n        print(name)\n";
const DIMENSIONS = 384;
const UNKNOWN_KEY = "nsk_live_nobody";

const client = ({ sdk, options }: World, more: Partial<Client.NearsideOptions> = {}) =>
  new sdk.Nearside({ ...options, ...more });

type Scores = readonly { readonly label: string; readonly score: number }[];

const EDGE_CASES: readonly ClientCase[] = [
  {
    title: "predicts from JSON: one input, and several",
    async run(world) {
      const nearside = client(world);
      const one = (await nearside.predict("iris", SETOSA)) as Scores;
      same(one[0]?.label, "setosa");
      const two = (await nearside.predict("iris", [SETOSA, VIRGINICA])) as Scores[];
      same(
        two.map(([best]) => best?.label),
        ["setosa", "virginica"],
      );
      same(two[0], one);
    },
  },
  {
    title: "predicts from raw bodies: a Blob with its type, bytes with one that is said",
    async run(world) {
      const nearside = client(world);
      const options = { parameters: { top_k: 2 } };
      const text = (await nearside.predict("guesslang", PYTHON, options)) as Scores;
      same([text.length, text[0]?.label], [2, "py"]);
      const blob = new Blob([PYTHON], { type: "text/x-python" });
      same(await nearside.predict("guesslang", blob, options), text);
      const bytes = new TextEncoder().encode(`##${PYTHON}`).subarray(2);
      same(
        await nearside.predict("guesslang", bytes, { ...options, mediaType: "text/plain" }),
        text,
      );
      same(await nearside.predict("guesslang", bytes.slice().buffer, options), text);
    },
  },
  {
    title: "says which model, version and place answered, what it cost, and how long it took",
    async run(world) {
      const { value, meta } = await client(world).predict("iris", SETOSA).withMeta();
      same((value as Scores)[0]?.label, "setosa");
      const { model, version, placement, attempts, replayed } = meta;
      same(
        { model, version, placement, attempts, replayed },
        { model: "iris", version: 1, placement: "edge", attempts: 1, replayed: false },
      );
      holds((meta.costNano ?? 0) > 0, `it cost ${meta.costNano}`);
      holds(["warm", "restored", "loaded"].includes(meta.start ?? ""), `start is ${meta.start}`);
      holds((meta.requestId ?? "") !== "", "there is no request id");
      holds((meta.timing["decode"] ?? -1) >= 0, "there is no timing");
    },
  },
  {
    title: "reaches a version by number and by label",
    async run(world) {
      const nearside = client(world);
      for (const version of [1, "stable"]) {
        const { meta } = await nearside.predict("iris", SETOSA, { version }).withMeta();
        same(meta.version, 1);
      }
      const error = await failure(nearside.predict("iris", SETOSA, { version: 999 }));
      same([error.code, error.status], ["version_not_found", 404]);
    },
  },
  {
    title: "embeds a text, and several, as Float32Arrays of length 1",
    async run(world) {
      const nearside = client(world);
      const cat = await nearside.embed("minilm", "A cat sits on the mat.");
      holds(cat instanceof Float32Array && cat.length === DIMENSIONS, "it is no vector");
      near(Math.hypot(...cat), 1, 1e-3);
      const [kitten, tax, ...more] = await nearside.embed("minilm", [
        "A kitten is lying on a rug.",
        "The tax return is due in May.",
      ]);
      same(more.length, 0);
      holds(dot(cat, kitten) > dot(cat, tax) + 0.2, "the kitten is no nearer than the tax return");
    },
  },
  {
    title: "searches a corpus, for one text and for several",
    async run(world) {
      const nearside = client(world);
      const bread = "Somebody eats a slice of bread.";
      const query = { corpus: "sentences", top: 3 };
      const matches = await nearside.search("minilm", bread, query);
      same([matches.length, matches[0]?.text], [3, "A man is eating a piece of bread."]);
      const scores = matches.map(({ score }) => score);
      same(
        scores,
        scores.toSorted((a, b) => b - a),
      );
      const several = await nearside.search("minilm", [bread, "Who plays music?"], query);
      same([several.length, several[0]?.[0]?.id], [2, matches[0]?.id]);
      const filter = { words: { gt: 1000 } };
      same(await nearside.search("minilm", bread, { ...query, filter }), []);
      const error = await failure(nearside.search("minilm", bread, { corpus: "nothing" }));
      same([error.code, error.status], ["corpus_not_found", 404]);
    },
  },
  {
    title: "infers with typed arrays, as bytes both ways",
    async run(world) {
      const nearside = client(world);
      const features = { shape: [2, 4], data: Float32Array.of(...SETOSA, ...VIRGINICA) };
      const { value, meta } = await nearside.infer("iris", { features }).withMeta();
      const { probabilities, label } = value;
      same([probabilities?.datatype, probabilities?.shape], ["FP32", [2, 3]]);
      holds(probabilities?.data instanceof Float32Array, "the probabilities are no floats");
      same(label, { datatype: "INT64", shape: [2], data: BigInt64Array.of(0n, 2n) });
      holds(meta.headers.has("inference-header-content-length"), "the answer is not binary");
      const some = await nearside.infer("iris", { features }, { outputs: ["label"], version: 1 });
      same(Object.keys(some), ["label"]);
      const [scores] = (await nearside.predict("iris", [SETOSA])) as Scores[];
      same(scores?.[0]?.score, probabilities.data[0]);
    },
  },
  {
    title: "streams a text as it is written, with its cost at the end",
    async run(world) {
      const nearside = client(world);
      const messages = [{ role: "user", content: "The sea" }];
      const stream = nearside.stream("scribe", { messages, max_tokens: 8, temperature: 0 });
      same((await stream.meta()).costNano, undefined);
      let text = "";
      let finished: string | undefined;
      for await (const event of stream) {
        text += event.text;
        finished = event.finishReason ?? finished;
      }
      holds(text !== "", "there is no text");
      holds(finished !== undefined, "it did not say why it ended");
      const { model, placement, costNano, receipt } = await stream.meta();
      same([model, placement], ["scribe", "origin"]);
      const { amount } = await world.sdk.verifyReceipt(receipt, keysOf(world));
      holds(amount > 0 && amount === costNano, `it cost ${costNano}, and ${amount} by its receipt`);
      const again = nearside.stream("scribe", { messages, max_tokens: 8, temperature: 0 });
      same(await again.text(), text);
    },
  },
  {
    title: "lets a stream be left, and the next request be answered",
    async run(world) {
      const nearside = client(world);
      let events = 0;
      for await (const { text } of nearside.stream("scribe", {
        prompt: "The sea",
        max_tokens: 50,
      })) {
        if (text !== "" && ++events === 2) break;
      }
      same(events, 2);
      same(((await nearside.predict("iris", SETOSA)) as Scores)[0]?.label, "setosa");
    },
  },
  {
    title: "answers and bills two calls with one Idempotency-Key once",
    async run(world) {
      const nearside = client(world);
      const options = { idempotencyKey: `suite-${crypto.randomUUID()}` };
      const first = await nearside.predict("iris", VIRGINICA, options).withMeta();
      const again = await nearside.predict("iris", VIRGINICA, options).withMeta();
      same(again.value, first.value);
      same([first.meta.replayed, again.meta.replayed, again.meta.costNano], [false, true, 0]);
      const error = await failure(nearside.predict("iris", SETOSA, options));
      same([error.code, error.status], ["idempotency_conflict", 422]);
    },
  },
  {
    title: "verifies a receipt against the published keys and both bodies",
    async run(world) {
      const { sdk } = world;
      const { meta, request, response } = await client(world).predict("iris", SETOSA).withMeta();
      const keys = keysOf(world);
      const receipt = await sdk.verifyReceipt(meta.receipt, { ...keys, request, response });
      same(
        [receipt.model, receipt.version, receipt.amount, receipt.requestId],
        ["iris", 1, meta.costNano, meta.requestId],
      );
      const others = [
        [meta.receipt, { ...keys, request: response }, "receipt_other_request"],
        [meta.receipt, { ...keys, response: "[]" }, "receipt_other_response"],
        [meta.receipt, { jwks: { keys: [] } }, "receipt_unknown_key"],
        [forged(meta.receipt), keys, "receipt_bad_signature"],
        [undefined, keys, "receipt_malformed"],
      ] as const;
      for (const [jws, options, code] of others) {
        same((await failure(sdk.verifyReceipt(jws, options))).code, code);
      }
    },
  },
  {
    title: "lists the catalog",
    async run(world) {
      const listed = await client(world).models();
      const iris = listed.find(({ name, version }) => name === "iris" && version === "1");
      same([iris?.state, iris?.reason], ["READY", ""]);
    },
  },
  {
    title: "says what was wrong in each of the server's forms of errors",
    async run(world) {
      const nearside = client(world);
      const none = await failure(nearside.predict("nothing", "x"));
      same([none.name, none.code, none.status], ["NearsideError", "model_not_found", 404]);
      holds((none.requestId ?? "") !== "", "there is no request id");
      const row = await failure(nearside.predict("iris", [1, 2, "three", 4]));
      same([row.code, row.field], ["invalid_input", "inputs[2]"]);
      const tensor = await failure(
        nearside.infer("iris", { features: { shape: [1, 3], data: new Float32Array(3) } }),
      );
      same([tensor.code, tensor.status], ["invalid_tensor", 400]);
      holds(tensor.message.length > 10, "there is no sentence");
      const stream = await failure(nearside.stream("nothing", { prompt: "x" }).text());
      same([stream.code, stream.status, stream.field], ["model_not_found", 404, "model"]);
      const key = await failure(client(world, { key: UNKNOWN_KEY }).predict("iris", SETOSA));
      same([key.status, key instanceof world.sdk.NearsideError], [401, true]);
    },
  },
];

/** What a client does, wherever it runs. */
export const CLIENT_CASES: readonly ClientCase[] = [...EDGE_CASES, ...FAULT_CASES];

const keysOf = ({ options: { baseUrl, fetch } }: World) => ({ baseUrl, fetch });

function dot(a: Float32Array, b: Float32Array = new Float32Array()): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

/** The same receipt for nothing. */
function forged(receipt = ""): string {
  const [head, payload = "", signature] = receipt.split(".");
  const cheaper = atob(payload.replaceAll("-", "+").replaceAll("_", "/")).replace(
    /"amount":\d+/,
    '"amount":0',
  );
  const encoded = btoa(cheaper).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return [head, encoded, signature].join(".");
}
