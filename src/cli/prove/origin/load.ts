import { Agent, request } from "node:http";

/** One request as its caller saw it. */
export interface Seen {
  readonly milliseconds: number;
  /** Why it counts as failed: it must be answered, with its own answer. */
  readonly problem: string | undefined;
}

/** Longer than any time-out within a pool, shorter than a person's patience. */
const DEADLINE_MS = 5_000;
const MOST_AT_ONCE = 4;

/** Requests at a constant rate, whatever becomes of them: callers don't wait for each other. */
export class Load {
  readonly seen: Seen[] = [];
  readonly #agent = new Agent({ keepAlive: true });
  readonly #url: string;
  #sent = 0;

  /** @param url of the path at the origin Worker */
  constructor(url: string) {
    this.#url = url;
  }

  /** Sends until `isOver`, then waits for what is under way. @returns what came of these requests */
  async run(perSecond: number, isOver: () => boolean): Promise<readonly Seen[]> {
    const began = performance.now();
    const from = this.seen.length;
    const underWay: Promise<void>[] = [];
    for (let sent = 0; !isOver();) {
      const due = ((performance.now() - began) * perSecond) / 1_000;
      // What a busy machine has missed is not made up for in a burst: that would be another test.
      sent = Math.max(sent, due - MOST_AT_ONCE);
      for (; sent < due; sent++) underWay.push(this.#send());
      await new Promise((resolve) => setTimeout(resolve, 1_000 / perSecond));
    }
    await Promise.all(underWay);
    return this.seen.slice(from);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(): Promise<void> {
    const id = `${this.#sent++}`;
    const began = performance.now();
    const problem = await this.#ask(id).catch((error: Error) => error.message);
    this.seen.push({ milliseconds: performance.now() - began, problem });
  }

  /** @returns what is wrong with the answer */
  async #ask(id: string): Promise<string | undefined> {
    const { status, text } = await new Promise<{ status: number; text: string }>(
      (resolve, reject) => {
        const headers = {
          "content-type": "application/json",
          "nearside-idempotent": "true",
          "nearside-deadline": `${Date.now() + DEADLINE_MS}`,
        };
        const sent = request(
          this.#url,
          { method: "POST", agent: this.#agent, headers },
          (response) => {
            let received = "";
            response.setEncoding("utf8");
            response.on("data", (piece: string) => (received += piece));
            response.on("end", () => resolve({ status: response.statusCode ?? 0, text: received }));
            response.on("error", reject);
          },
        );
        sent.on("error", reject);
        sent.end(JSON.stringify({ id }));
      },
    );
    if (status !== 200) return `${status} ${text}`;
    return (JSON.parse(text) as { id: string }).id === id ? undefined : "another request's answer";
  }
}

/** The value that a part `q` of the requests is not above. */
export function waitOf(seen: readonly Seen[], q: number): number {
  const sorted = seen.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}
