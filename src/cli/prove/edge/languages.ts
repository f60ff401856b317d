import { readFile } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { ROOT } from "../../../publish/workspace.ts";
import { type Check, hold } from "../check.ts";
import { type Edge, predict } from "./edge-client.ts";

const RealFiles = v.array(v.object({ path: v.string(), language: v.string() }));

/** Languages that must be among the files, or the check proves too little. */
const LEAST_LANGUAGES = 10;

/** guesslang on real files of installed packages. */
export const languages: Check<Edge> = {
  claim: "guesslang names the language of real files",
  async run(edge) {
    const list = path.join(ROOT, "models/guesslang/samples/real-files.json");
    const files = v.parse(RealFiles, JSON.parse(await readFile(list, "utf8")));
    const known = new Set(files.map(({ language }) => language));
    hold(known.size >= LEAST_LANGUAGES, `there are files of ${known.size} languages only`);
    for (const file of files) {
      const bytes = new Uint8Array(await readFile(path.join(ROOT, file.path)));
      const answer = await predict<{ label: string }[]>(
        edge,
        "guesslang",
        bytes,
        "application/octet-stream",
      );
      hold(
        answer[0]?.label === file.language,
        `${file.path} is ${file.language}, not ${answer[0]?.label}`,
      );
    }
    return { realFilesRight: files.length, languages: known.size };
  },
};
