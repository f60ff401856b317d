import path from "node:path";

import { buildModel } from "../../../publish/build.ts";
import { ReferenceSession } from "../../../publish/onnx/reference-session.ts";
import { ROOT } from "../../../publish/workspace.ts";
import { type Check, hold, rounded } from "../check.ts";
import { type Edge, cosine, predict } from "./edge-client.ts";
import { QUICK_START, type TokenizedSentence, tokenizedSentences } from "./sentences.ts";

const TOLERANCE = 0.02;
const LOWEST_COSINE = 0.985;
const LEAST_SENTENCES = 50;

/** MiniLM through HTTP against its authors' published values, and against fp32 in the native runtime. */
export const embeddings: Check<Edge> = {
  claim: "MiniLM's embeddings are its authors', within the stated tolerances",
  async run(edge) {
    const quick = await predict<number[][]>(edge, "minilm", { inputs: QUICK_START.sentences });
    let worst = 0;
    for (const [a, b, published] of QUICK_START.similarities) {
      const seen = cosine(quick[a] ?? [], quick[b] ?? []);
      worst = Math.max(worst, Math.abs(seen - published));
    }
    hold(worst <= TOLERANCE, `a similarity of the quick start is off by ${worst}`);

    const sentences = await tokenizedSentences();
    hold(sentences.length >= LEAST_SENTENCES, `there are ${sentences.length} sentences only`);
    const reference = await referenceEmbeddings(sentences);
    const answers = await predict<number[][]>(edge, "minilm", {
      inputs: sentences.map(({ text }) => text),
    });
    const cosines = answers.map((answer, index) => cosine(answer, reference[index] ?? []));
    const lowest = Math.min(...cosines);
    hold(
      lowest >= LOWEST_COSINE,
      `"${sentences[cosines.indexOf(lowest)]?.text}" has cosine ${lowest} with fp32`,
    );
    const mean = cosines.reduce((sum, one) => sum + one, 0) / cosines.length;
    return {
      quickStartLargestError: rounded(worst),
      sentences: sentences.length,
      int8LowestCosine: rounded(lowest),
      int8MeanCosine: rounded(mean),
    };
  },
};

/** fp32 in onnxruntime-node, one sentence at a time, on the tokens that the authors' tokenizer makes. */
async function referenceEmbeddings(sentences: readonly TokenizedSentence[]): Promise<number[][]> {
  const { reference } = await buildModel(path.join(ROOT, "models/minilm"));
  if (reference === undefined) throw new Error("minilm has no reference build");
  const session = await ReferenceSession.create(reference);
  const rows: number[][] = [];
  for (const { ids } of sentences) {
    const shape = [1, ids.length];
    const { sentence_embedding } = await session.run({
      input_ids: { datatype: "INT64", shape, data: BigInt64Array.from(ids, BigInt) },
      attention_mask: { datatype: "INT64", shape, data: new BigInt64Array(ids.length).fill(1n) },
    });
    rows.push(Array.from((sentence_embedding?.data ?? []) as Float32Array));
  }
  await session.release();
  return rows;
}
