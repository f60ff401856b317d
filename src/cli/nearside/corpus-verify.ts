import { blobKey } from "../../store/layout.ts";
import type { Command } from "./command.ts";
import { corpusVersions } from "./corpus-inventory.ts";
import { size } from "../../publish/size.ts";
import { stateOf } from "./verify.ts";

/** `nearside corpus verify` */
export const corpusVerify: Command = {
  summary: "read every blob of a corpus and hash it against its digest",
  usage: "corpus verify <corpus> [--drop]",
  options: { drop: { type: "boolean" } },
  help: `Reads the blob of every version of a corpus and compares its length and SHA-256 with the manifest; the exit code
is 1 when one is missing or altered. To mend it, drop what is altered and publish the same rows again.

  --drop   remove altered blobs; without it nothing is changed

Examples:
  npx nearside corpus verify docs
  npx nearside corpus verify docs --remote`,

  async run({ words: [name = ""], options, target, say }) {
    const { bucket, where } = await target();
    const verified = [];
    for (const { version, manifest } of await corpusVersions(bucket, name, where)) {
      if (manifest === undefined) {
        verified.push({ version, state: "unreadable", digest: null } as const);
        continue;
      }
      const { digest, bytes } = manifest.snapshot;
      say(`${name} ${version}: reading ${size(bytes)}`);
      const state = await stateOf(bucket, manifest.snapshot);
      if (state === "altered" && options["drop"] === true) await bucket.delete(blobKey(digest));
      verified.push({ version, state, digest });
    }
    const whole = verified.every(({ state }) => state === "whole");
    const lines = verified.map(({ version, state, digest }) =>
      state === "whole"
        ? `${name} ${version}: whole`
        : `${name} ${version}: ${state}${digest === null ? "" : `, ${blobKey(digest)}`}`,
    );
    const mend = `Mend it with \`nearside corpus verify ${name} --drop\`, then publish the same rows again.`;
    return {
      json: { name, whole, versions: verified },
      text: [...lines, ...(whole ? [] : [mend])].join("\n"),
      exitCode: whole ? 0 : 1,
    };
  },
};
