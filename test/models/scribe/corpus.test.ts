import { describe, expect, it } from "vitest";

import { decode, encode, encodePrompt, END } from "../../../models/scribe/alphabet.ts";
import { cleaned, docComments, newParagraphs, readCorpus } from "../../../models/scribe/corpus.ts";
import { splitDocuments } from "../../../models/scribe/split.ts";

describe("the alphabet", () => {
  it("has every printable character of ASCII, and the line break", () => {
    const all = `\n${String.fromCharCode(...Array.from({ length: 95 }, (_, index) => 32 + index))}`;
    expect(encode(all)).toEqual(Array.from(all, (_, index) => index + 1));
    expect(decode(encode(all))).toBe(all);
    expect(decode([END, ...encode("a"), END])).toBe("a");
    expect(encodePrompt("")).toEqual([END]);
  });

  it("writes other characters plainly", () => {
    expect(decode(encode("“it’s”\t–\r\n…日😀"))).toBe('"it\'s"  -\n...??');
  });
});

describe("the corpus", () => {
  it("is the same every time, in the alphabet, and has each paragraph once", async () => {
    const packages = ["itty-router", "jose", "cookie"];
    const corpus = await readCorpus(packages);
    expect(await readCorpus(packages.toReversed())).toEqual(corpus);
    expect(corpus.documents.length).toBeGreaterThan(10);
    expect(Object.keys(corpus.packages)).toEqual(packages.toSorted());
    for (const document of corpus.documents) expect(document).toMatch(/^[\n -~]*$/);
    const paragraphs = corpus.documents
      .flatMap((document) => document.split("\n\n"))
      .filter((text) => text.length > 60 && !text.startsWith("#"));
    expect(new Set(paragraphs).size).toBe(paragraphs.length);
    expect(paragraphs.length).toBeGreaterThan(100);
  });

  it("reads what doc comments say", () => {
    const source = "/**\n * Adds.\n *\n * @param a one\n */\nadd(a); // no\n/** Ends. */\nend();";
    expect(docComments(source)).toBe("Adds.\n\n@param a one\n\nEnds.");
  });

  it.each([
    ["other alphabets", "one\ndeux é\nthree", "one\nthree"],
    ["addresses", `see\nhttps://example.com/${"a".repeat(40)}\nend`, "see\nend"],
    ["pictures and markup", "a\n![b](c)\n<p>d</p>\ne", "a\ne"],
    ["empty lines", "\n\na  \n\n\n\nb\n", "a\n\nb"],
  ])("leaves out %s", (_, text, expected) => {
    expect(cleaned(text)).toBe(expected);
  });

  it("leaves out paragraphs that it has seen, but not headings", () => {
    const seen = new Set<string>();
    expect(newParagraphs("# Use of this\n\nThe same words.", seen)).toBe(
      "# Use of this\n\nThe same words.",
    );
    expect(newParagraphs("# Use of this\n\nThe  SAME\nwords.\n\nOthers.", seen)).toBe(
      "# Use of this\n\nOthers.",
    );
  });

  it("is split into whole documents that are held out, and pieces of all others", () => {
    const documents = Array.from({ length: 40 }, (_, index) => `Document ${index}. `.repeat(400));
    const { training, held } = splitDocuments(documents, 1);
    expect(splitDocuments(documents, 1)).toEqual({ training, held });
    expect(splitDocuments(documents, 2)).not.toEqual({ training, held });
    const written = [...decode(held).matchAll(/Document \d+/g)].map(([name]) => name);
    for (const name of new Set(written)) expect(decode(training)).not.toContain(`${name}. `);
    expect(decode(training).length + decode(held).length).toBe(documents.join("").length);
  });
});
