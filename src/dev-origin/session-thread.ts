import { parentPort, workerData } from "node:worker_threads";

import { ReferenceSession } from "../publish/onnx/reference-session.ts";
import type { ThreadAnswer, ThreadQuestion } from "./session.ts";

/** onnxruntime-node computes on the calling thread: one for each model, so that the server goes on. */
const port = parentPort;
if (port === null) throw new Error("This file is the program of a worker thread.");
const session = await ReferenceSession.create(String(workerData));

port.on("message", async (feeds: ThreadQuestion) => {
  let answer: ThreadAnswer;
  try {
    answer = { outputs: await session.run(feeds) };
  } catch (error) {
    answer = { failure: (error as Error).message };
  }
  port.postMessage(answer);
});
port.postMessage({ outputs: {} } satisfies ThreadAnswer);
