import { imageCodecs } from "../../src/publish/picture.ts";
import type { TaskTools } from "../../src/tasks/tools.ts";

/** The decoders that the edge Worker brings, compiled by Node. */
export const TOOLS: TaskTools = { codecs: imageCodecs() };
