import path from "node:path";

import {
  MOST_ERRORS,
  askOcr,
  hostilePictures,
  measurePage,
  readPages,
} from "../../../../test/support/pages.ts";
import { publishFolder } from "../../../publish/publish.ts";
import { ROOT } from "../../../publish/workspace.ts";
import { startEdge } from "../../local-stack.ts";
import { type Check, CheckFailure, hold, rounded } from "../check.ts";

const LEAST_PAGES = 10;

/** Pages as a browser renders them, read at a running edge, and compared with what is written on them. */
export const pages: Check<undefined> = {
  claim:
    "ten pages are read with 3 % of errors at most, all lines are found where they stand, and hostile pictures are refused",
  async run() {
    const edge = await startEdge({ edgePort: 0 });
    try {
      await publishFolder(path.join(ROOT, "models/ocr"), edge.target, () => {});
      const read = await readAll(edge.edgeUrl);
      return { ...read, hostilePicturesRefused: await refusals(edge.edgeUrl) };
    } finally {
      await edge.stop();
    }
  },
};

async function readAll(edgeUrl: string) {
  let [errors, characters, lines] = [0, 0, 0];
  const missed: string[] = [];
  const samples = await readPages();
  for (const page of samples) {
    const reading = await measurePage(edgeUrl, page);
    errors += reading.errors;
    characters += reading.characters;
    lines += reading.lines;
    missed.push(...reading.missed);
  }
  const characterErrorRate = rounded(errors / characters);
  const lineBoxesFound = rounded(1 - missed.length / lines);
  const figures = { pagesRead: samples.length, characterErrorRate, lineBoxesFound };
  const problems = [
    ...(samples.length < LEAST_PAGES ? [`there are ${samples.length} pages`] : []),
    ...(characterErrorRate > MOST_ERRORS ? [`the error rate is ${characterErrorRate}`] : []),
    ...missed.map((text) => `"${text}" was not found where it stands`),
  ];
  if (problems.length > 0) throw new CheckFailure(problems, figures);
  return figures;
}

async function refusals(edgeUrl: string): Promise<number> {
  const pictures = await hostilePictures();
  for (const [what, mediaType, bytes, code] of pictures) {
    const response = await askOcr(edgeUrl, mediaType, bytes);
    const answer = await response.text();
    hold(answer.includes(`"code":"${code}"`), `${what}: ${response.status}: ${answer}`);
  }
  return pictures.length;
}
