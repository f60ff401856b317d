import { type Check, hold } from "../check.ts";
import { type Edge, predict } from "./edge-client.ts";

const CALLERS = 20;
/** Enough for the first load to have begun, too little for it to be done. */
const CANCEL_AFTER_MS = 15;

/** The largest model, cold: its first caller goes away in the middle of the load that the others wait for. */
export const sharedLoading: Check<Edge> = {
  claim: "the first caller's cancellation harms no other",
  async run(edge) {
    const controller = new AbortController();
    const first = fetch(`${edge.edgeUrl}/v1/predict/minilm`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs: "first" }),
      signal: controller.signal,
    }).then(
      () => "answered",
      () => "cancelled",
    );
    await new Promise((resolve) => setTimeout(resolve, CANCEL_AFTER_MS));
    const others = Array.from({ length: CALLERS - 1 }, (_, index) =>
      predict<number[]>(edge, "minilm", { inputs: `caller ${index}` }),
    );
    controller.abort();
    hold(
      (await first) === "cancelled",
      "the load was done before its first caller left; nothing was proved",
    );
    const answers = await Promise.all(others);
    hold(
      answers.every((answer) => answer.length === 384),
      "an answer is not an embedding",
    );
    return { callersAnsweredAfterCancellation: answers.length };
  },
};
