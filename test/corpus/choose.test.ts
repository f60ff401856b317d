import { describe, expect, it } from "vitest";

import type { Catalog } from "../../src/catalog/catalog.ts";
import { chooseCorpus } from "../../src/corpus/choose.ts";
import { corpusOf } from "../support/corpus.ts";

const version = (number: number, model: number) =>
  corpusOf([{ id: "a", vector: [1] }], {
    version: number,
    model: { name: "minilm", version: model },
  }).manifest;

const catalog: Pick<Catalog, "corpora"> = {
  corpora: {
    docs: {
      versions: { 1: version(1, 1), 2: version(2, 1), 3: version(3, 2), 4: version(4, 2) },
      labels: { stable: 1, canary: 4 },
    },
    constructor_: { versions: { 1: version(1, 1) }, labels: {} },
  },
};

const chosen = (reference: string, model: number): number =>
  chooseCorpus(catalog, reference, { name: "minilm", version: model }).version;

describe("chooseCorpus", () => {
  it.each([
    ["docs", 1, 1],
    ["docs", 2, 4],
    ["docs@2", 1, 2],
    ["docs@3", 2, 3],
    ["docs@canary", 2, 4],
    ["docs@stable", 1, 1],
  ])("gives %s for version %i of the model version %i", (reference, model, expected) => {
    expect(chosen(reference, model)).toBe(expected);
  });

  it.each([
    ["docs", 3, "corpus_mismatch", /--name docs --model minilm@3/],
    ["docs@canary", 1, "corpus_mismatch", /version 4 has those of minilm 2/],
    ["docs@5", 1, "corpus_not_found", /there are 1, 2, 3, 4, stable, canary/],
    ["docs@toString", 1, "invalid_input", /docs@canary/],
    ["dogs", 1, "corpus_not_found", /there are docs/],
    ["constructor", 1, "corpus_not_found", /no corpus "constructor"/],
    ["", 1, "invalid_input", /must be the name/],
    ["Docs", 1, "invalid_input", /must be the name/],
    ["docs@", 1, "invalid_input", /must be the name/],
  ])("refuses %s for version %i of the model: %s", (reference, model, code, message) => {
    expect(() => chosen(reference, model)).toThrow(
      expect.objectContaining({
        code,
        field: "parameters.corpus",
        message: expect.stringMatching(message),
      }),
    );
  });

  it("says so when there are no corpora at all", () => {
    expect(() => chooseCorpus({}, "docs", { name: "minilm", version: 1 })).toThrow(
      "there are none",
    );
  });
});
