import type { BucketObject, PublishBucket } from "../../publish/bucket.ts";
import { size } from "../../publish/size.ts";
import { manifestKey } from "../../store/layout.ts";
import { UserError } from "../user-error.ts";
import type { Command } from "./command.ts";
import { storedCorpora } from "./corpus-inventory.ts";
import { listAll, storedVersions } from "./inventory.ts";
import { wholeNumber } from "./parse.ts";

/** A publication that takes longer from its first blob to its manifest must be run again. */
const OLDER_THAN_MINUTES = 60;

/** What R2 takes in one call. */
const KEYS_PER_DELETE = 1000;

const BLOB_KEY = /^blobs\/[0-9a-f]{64}$/;
const ANY_DIGEST = /[0-9a-f]{64}/g;

/** `nearside gc` */
export const gc: Command = {
  summary: "find blobs that no manifest names, and remove them with --delete",
  usage: "gc [--delete] [--older-than <minutes>]",
  options: { delete: { type: "boolean" }, "older-than": { type: "string" } },
  help: `Lists blobs that no manifest names: what interrupted publications left behind. Removes nothing unless it is
told to. Blobs younger than an hour are kept, because a publication may be on its way to its manifest. Don't
remove while somebody publishes: a publication does not upload again what it finds in the bucket.

  --delete                 remove them
  --older-than <minutes>   instead of ${OLDER_THAN_MINUTES}

Examples:
  npx nearside gc
  npx nearside gc --delete`,

  async run({ options, target, say }) {
    const age = options["older-than"];
    const minutes =
      typeof age === "string" ? wholeNumber("older-than", age, 0) : OLDER_THAN_MINUTES;
    const { bucket } = await target();
    const uploadedBefore = Date.now() - minutes * 60_000;
    const { unnamed, young } = await unnamedBlobs(bucket, uploadedBefore);
    const bytes = sum(unnamed);
    const removes = options["delete"] === true;
    if (removes) {
      const keys = unnamed.map(({ key }) => key);
      for (let at = 0; at < keys.length; at += KEYS_PER_DELETE) {
        say(`removing ${Math.min(at + KEYS_PER_DELETE, keys.length)} of ${keys.length}`);
        await bucket.delete(keys.slice(at, at + KEYS_PER_DELETE));
      }
    }
    return {
      json: {
        deleted: removes,
        bytes,
        blobs: unnamed.map(({ key, size: length, uploaded }) => ({
          key,
          bytes: length,
          uploaded: uploaded.toISOString(),
        })),
        kept: { young: young.length, bytes: sum(young) },
      },
      text: textOf(unnamed, young, removes, minutes),
    };
  },
};

interface Unnamed {
  readonly unnamed: readonly BucketObject[];
  /** Unnamed too, but perhaps not for long. */
  readonly young: readonly BucketObject[];
}

/** Blobs are listed before manifests are read: one that is published in between is named by then. */
async function unnamedBlobs(bucket: PublishBucket, uploadedBefore: number): Promise<Unnamed> {
  const blobs: BucketObject[] = [];
  for await (const object of listAll(bucket, "blobs/")) {
    if (BLOB_KEY.test(object.key)) blobs.push(object);
  }
  const named = await namedKeys(bucket);
  const all = blobs.filter(({ key }) => !named.has(key));
  const isYoung = ({ uploaded }: BucketObject) => uploaded.getTime() > uploadedBefore;
  return { unnamed: all.filter((blob) => !isYoung(blob)), young: all.filter(isYoung) };
}

/**
 * Anything in a manifest that looks like a digest names a blob, so that a field of a newer Nearside keeps
 * what it names.
 *
 * @throws UserError for a manifest that is no JSON: what it named can't be known
 */
async function namedKeys(bucket: PublishBucket): Promise<Set<string>> {
  const named = new Set<string>();
  const models = await storedVersions(bucket);
  const manifests = [
    ...models.map(({ name, version, text }) => ({ key: manifestKey(name, version), text })),
    ...(await storedCorpora(bucket)),
  ];
  for (const { key, text } of manifests) {
    if (!isJson(text)) {
      throw new UserError(
        `${key} is damaged, so what it names can't be known, and nothing is removed. ` +
          "Remove that manifest, and publish the version again.",
      );
    }
    for (const [digest] of text.matchAll(ANY_DIGEST)) named.add(`blobs/${digest}`);
  }
  return named;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function textOf(
  unnamed: readonly BucketObject[],
  young: readonly BucketObject[],
  removed: boolean,
  minutes: number,
): string {
  const kept =
    young.length === 0
      ? ""
      : `\nKept: ${count(young)} that no manifest names either, but that ${young.length === 1 ? "is" : "are"} younger than ${minutes} minutes.`;
  if (unnamed.length === 0) return `Nothing to remove.${kept}`;
  const lines = unnamed.map((blob) => `  ${blob.key}  ${size(blob.size)}`).join("\n");
  return removed
    ? `Removed ${count(unnamed)} that no manifest names:\n${lines}${kept}`
    : `No manifest names ${count(unnamed)}:\n${lines}\nNothing is removed; \`npx nearside gc --delete\` does that.${kept}`;
}

function count(blobs: readonly BucketObject[]): string {
  return `${blobs.length} ${blobs.length === 1 ? "blob" : "blobs"} of ${size(sum(blobs))}`;
}

function sum(blobs: readonly BucketObject[]): number {
  return blobs.reduce((total, blob) => total + blob.size, 0);
}
