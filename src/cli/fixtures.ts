import path from "node:path";
import { pathToFileURL } from "node:url";

import { type Fixtures, writeFixtures } from "../publish/source.ts";
import { allModelFolders } from "./examples.ts";
import { UserError } from "./user-error.ts";

/** `npm run fixtures -- <model>`: writes models/<model>/fixtures.json anew, from where its values come from. */
export async function fixtures([name, ...rest]: readonly string[]): Promise<number> {
  const folders = await allModelFolders();
  const folder = folders.find((one) => path.basename(one) === name);
  if (folder === undefined || rest.length > 0) {
    const names = folders.map((one) => path.basename(one));
    throw new UserError(`Usage: npm run fixtures -- ${names.join("|")}`);
  }
  const file = pathToFileURL(path.join(folder, "make-fixtures.ts")).href;
  const { makeFixtures } = (await import(file)) as { makeFixtures(): Promise<Fixtures> };
  const made = await makeFixtures();
  await writeFixtures(folder, made);
  console.log(`models/${name}/fixtures.json: ${made.cases.length} cases. ${made.source}`);
  return 0;
}
