import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";

import { installedVersion, packageFolder } from "../../src/publish/source.ts";
import { plain } from "./alphabet.ts";

/**
 * npm packages whose documentation is read, at the versions that package-lock.json pins. All are under
 * MIT, Apache-2.0, BSD-3-Clause or ISC, and none is for one platform only.
 */
export const SOURCES: readonly string[] = [
  "@babel/parser",
  "@bufbuild/protobuf",
  "@cloudflare/kv-asset-handler",
  "@cloudflare/workers-types",
  "@huggingface/tokenizers",
  "@jridgewell/gen-mapping",
  "@jridgewell/trace-mapping",
  "@openfeature/core",
  "@openfeature/flagd-core",
  "@openfeature/server-sdk",
  "@poppinss/dumper",
  "@sindresorhus/is",
  "@types/node",
  "@valibot/to-json-schema",
  "blake3-wasm",
  "cjs-module-lexer",
  "cookie",
  "cordova-plugin-device",
  "detect-libc",
  "es-module-lexer",
  "expect-type",
  "fast-check",
  "flatbuffers",
  "global-agent",
  "globalthis",
  "http-message-sig",
  "itty-router",
  "jose",
  "json-logic-engine",
  "kleur",
  "long",
  "magic-string",
  "miniflare",
  "nan",
  "onnxruntime-common",
  "onnxruntime-web",
  "path-to-regexp",
  "picomatch",
  "postcss",
  "protobufjs",
  "pure-rand",
  "semver",
  "sharp",
  "source-map-js",
  "structured-headers",
  "tinybench",
  "tinyexec",
  "tinypool",
  "type-fest",
  "typescript",
  "undici",
  "unenv",
  "valibot",
  "vite",
  "vitest",
  "wrangler",
  "ws",
  "youch",
];

const PROSE = /(?:\.md|^licen[cs]e(?:\.\w+)?)$/i;
const DECLARATIONS = /\.d\.ts$/;
/** Packages within packages. */
const NESTED = /(?:^|\/)node_modules\//;

const DOC_COMMENT = /\/\*\*([\s\S]*?)\*\//g;
/** Addresses and digests teach nothing. */
const LONG_WORD = /\S{50}/;
const OUTSIDE_ALPHABET = /[^\n -~]/;
const MARKUP = /!\[|^\s*<[^>]*>/;
/** Headings, and ends of code, may stand wherever their authors put them. */
const REPEATABLE = /^(?:#.*|.{0,12})$/;
const MIN_DOCUMENT_CHARACTERS = 200;

export interface Corpus {
  /** Texts in the alphabet, in the order of their packages and files. */
  readonly documents: readonly string[];
  /** SHA-256, in hex. */
  readonly digest: string;
  /** Version by name. */
  readonly packages: Readonly<Record<string, string>>;
}

/** Licences, READMEs, manuals and doc comments of `packages`, each paragraph once. */
export async function readCorpus(packages = SOURCES): Promise<Corpus> {
  const seen = new Set<string>();
  const documents: string[] = [];
  const versions: Record<string, string> = {};
  for (const name of packages.toSorted()) {
    versions[name] = await installedVersion(name);
    for (const file of await documentation(packageFolder(name))) {
      const text = await readFile(file, "utf8");
      const prose = DECLARATIONS.test(file) ? docComments(text) : text;
      const document = newParagraphs(cleaned(prose), seen);
      if (document.length >= MIN_DOCUMENT_CHARACTERS) documents.push(document);
    }
  }
  const digest = createHash("sha256").update(JSON.stringify(documents)).digest("hex");
  return { documents, digest, packages: versions };
}

async function documentation(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && (PROSE.test(entry.name) || DECLARATIONS.test(entry.name)))
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .map((file) => file.replaceAll(path.sep, "/"))
    .filter((file) => !NESTED.test(file))
    .toSorted()
    .map((file) => path.join(folder, file));
}

/** What `/** … *\/` says in TypeScript, without the stars. */
export function docComments(source: string): string {
  return Array.from(source.matchAll(DOC_COMMENT), ([, inside = ""]) =>
    inside.replaceAll(/^[ \t]*\*[ \t]?/gm, "").trim(),
  ).join("\n\n");
}

/** Only lines of the alphabet; no pictures, markup or addresses; no more than one empty line. */
export function cleaned(text: string): string {
  return plain(text)
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => !(OUTSIDE_ALPHABET.test(line) || LONG_WORD.test(line) || MARKUP.test(line)))
    .join("\n")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trim();
}

/** The paragraphs that are not in `seen` yet, whatever their spaces and capitals; they are put there. */
export function newParagraphs(text: string, seen: Set<string>): string {
  return text
    .split("\n\n")
    .filter((paragraph) => {
      const words = paragraph.toLowerCase().replaceAll(/\s+/g, " ").trim();
      if (words === "" || REPEATABLE.test(words)) return words !== "";
      return !seen.has(words) && seen.add(words);
    })
    .join("\n\n");
}
