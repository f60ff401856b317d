import { createHash } from "node:crypto";

import type { BlobRef } from "../../catalog/manifest.ts";
import type { PublishBucket } from "../../publish/bucket.ts";
import { size } from "../../publish/size.ts";
import { blobKey } from "../../store/layout.ts";
import { UserError } from "../user-error.ts";
import type { Command } from "./command.ts";
import { type StoredVersion, totalBytes, versionsOf } from "./inventory.ts";
import { type Part, partsOf } from "../../catalog/parts.ts";
import { wholeNumber } from "./parse.ts";
import { table } from "./table.ts";

type BlobState = "whole" | "missing" | "altered";

interface VerifiedVersion {
  readonly version: number;
  readonly whole: boolean;
  readonly parts: readonly (Part & { readonly state: BlobState })[];
  readonly problem?: string;
}

/** `nearside verify` */
export const verify: Command = {
  summary: "read every blob of a model and hash it against its digest",
  usage: "verify <model> [--version <n>] [--drop]",
  options: { version: { type: "string" }, drop: { type: "boolean" } },
  help: `Reads every blob of every version of a model and compares its length and SHA-256 with the manifest. What is
missing or altered is named, and the exit code is 1. To mend a version, drop what is altered and publish it
again (\`npm start\` does so for the models that ship): that uploads what is not there.

  --version <n>   only this version
  --drop          remove altered blobs; without it nothing is changed

Examples:
  npx nearside verify minilm
  npx nearside verify minilm --version 2 --remote`,

  async run({ words: [name = ""], options, target, say }) {
    const wanted = options["version"];
    const number = typeof wanted === "string" ? wholeNumber("version", wanted, 1) : undefined;
    const { bucket, where } = await target();
    const versions = chosen(await versionsOf(bucket, name, where), name, number);
    const states = new Map<string, BlobState>();
    const verified: VerifiedVersion[] = [];
    for (const { version, manifest, problem } of versions) {
      if (manifest === undefined) {
        verified.push({ version, whole: false, parts: [], problem: `the manifest ${problem}` });
        continue;
      }
      const parts: VerifiedVersion["parts"][number][] = [];
      for (const part of partsOf(manifest)) {
        let state = states.get(part.digest);
        if (state === undefined) {
          say(`${name} ${version}: reading ${part.part}, ${size(part.bytes)}`);
          state = await stateOf(bucket, part);
          if (state === "altered" && options["drop"] === true) {
            await bucket.delete(blobKey(part.digest));
            say(`${name} ${version}: dropped ${part.part}`);
          }
          states.set(part.digest, state);
        }
        parts.push({ ...part, state });
      }
      verified.push({ version, whole: parts.every(({ state }) => state === "whole"), parts });
    }
    const whole = verified.every((one) => one.whole);
    return {
      json: { name, whole, versions: verified },
      text: verified.map((one) => textOf(name, one)).join("\n"),
      exitCode: whole ? 0 : 1,
    };
  },
};

function chosen(
  versions: readonly StoredVersion[],
  name: string,
  number: number | undefined,
): readonly StoredVersion[] {
  if (number === undefined) return versions;
  const one = versions.filter(({ version }) => version === number);
  if (one.length > 0) return one;
  const there = versions.map(({ version }) => version).join(", ");
  throw new UserError(`${name} has no version ${number}; there is ${there}.`);
}

/** Whether a blob is what its digest says. */
export async function stateOf(
  bucket: Pick<PublishBucket, "get">,
  { digest, bytes }: BlobRef,
): Promise<BlobState> {
  const stored = await bucket.get(blobKey(digest));
  if (stored === null) return "missing";
  const content = new Uint8Array(await stored.arrayBuffer());
  const seen = createHash("sha256").update(content).digest("hex");
  return content.length === bytes && seen === digest ? "whole" : "altered";
}

function textOf(name: string, { version, whole, parts, problem }: VerifiedVersion): string {
  if (problem !== undefined) return `${name} ${version}: ${problem}`;
  if (whole)
    return `${name} ${version}: whole, ${count(parts.length)} of ${size(totalBytes(parts))}`;
  const damaged = parts.filter(({ state }) => state !== "whole");
  const rows = damaged.map(({ part, state, digest }) => [`  ${part}`, state, blobKey(digest)]);
  return `${name} ${version}: damaged\n${table(rows)}\nMend it with \`nearside verify ${name} --drop\`, then publish it again.`;
}

function count(blobs: number): string {
  return blobs === 1 ? "1 blob" : `${blobs} blobs`;
}
