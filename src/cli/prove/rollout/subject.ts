import { randomUUID } from "node:crypto";
import path from "node:path";

import { guesslangSource, guesslangVariant } from "../../../../models/guesslang/variants.ts";
import type { CatalogSource } from "../../../catalog/catalog.ts";
import { readCatalogSource } from "../../../catalog/changes.ts";
import { publishCandidate } from "../../../publish/publish.ts";
import { readFixtures } from "../../../publish/source.ts";
import { ROOT } from "../../../publish/workspace.ts";
import type { LocalStack } from "../../local-stack.ts";
import { connectControl, type ControlClient } from "../../nearside/control-client.ts";
import { nearside } from "../../nearside/main.ts";
import { MODEL, readTexts } from "./texts.ts";

/** What the proof is about: a running stack, as an operator and as callers see it. */
export interface Subject {
  readonly stack: LocalStack;
  readonly control: ControlClient;
  /** Pieces of real source files. */
  readonly texts: readonly Uint8Array<ArrayBuffer>[];
  readonly say: (line: string) => void;
}

export async function subjectOf(stack: LocalStack, say: (line: string) => void): Promise<Subject> {
  const { controlUrl: url, adminToken: token } = stack;
  return {
    stack,
    control: connectControl({ url, token, actor: "prove" }),
    texts: await readTexts(),
    say,
  };
}

/** Publishes guesslang with its weights in fewer levels, as another version. */
export async function publishVariant(
  { stack, say }: Subject,
  version: number,
  levels: number,
): Promise<void> {
  const source = await guesslangSource();
  const candidate = {
    source: { ...source, version, description: `${source.description} (${levels} levels)` },
    sourceDigest: randomUUID().replaceAll("-", "").padEnd(64, "0"),
    onnx: await guesslangVariant(levels),
    assets: {},
    fixtures: await readFixtures(path.join(ROOT, "models", MODEL)),
  };
  await publishCandidate(candidate, stack.target, (line) => say(`    ${line}`));
}

export interface CommandOutcome {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** `npx nearside …`, as an operator types it, against this stack. */
export async function typed(
  { control, stack }: Subject,
  words: readonly string[],
  input = "",
): Promise<CommandOutcome> {
  let out = "";
  let err = "";
  const exitCode = await nearside(words, {
    out: (text) => (out += text),
    err: (text) => (err += text),
    open: () =>
      Promise.resolve({ ...stack.target, where: "the local bucket", close: async () => {} }),
    control: () => Promise.resolve(control),
    input: () => Promise.resolve(input),
    wait: async () => {},
    isTerminal: false,
  });
  return { exitCode, out, err };
}

export async function catalogNow({ stack }: Subject): Promise<CatalogSource> {
  return (await readCatalogSource(stack.target.bucket)).source;
}
