import { Agent, request } from "node:http";

import { type Customer, MODEL } from "./customer.ts";

const BODY = JSON.stringify({ inputs: [5.1, 3.5, 1.4, 0.2] });
const TIMEOUT_MS = 10_000;

/** What one answered request says of its cost. */
export interface Paid {
  readonly receipt: string;
  readonly amount: number;
  readonly at: number;
  readonly isReplay: boolean;
}

export interface Asked {
  readonly status: number;
  readonly code?: string;
  readonly paid?: Paid;
}

/** A client with one open connection to each edge. */
export class Payer {
  readonly #agent = new Agent({ keepAlive: true });

  /** @throws Error when there is no answer: the process is gone */
  ask(
    edgeUrl: string,
    { key }: Pick<Customer, "key">,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Asked> {
    return new Promise((resolve, reject) => {
      const sent = request(
        `${edgeUrl}/v1/predict/${MODEL}`,
        {
          agent: this.#agent,
          method: "POST",
          timeout: TIMEOUT_MS,
          headers: {
            authorization: `Bearer ${key}`,
            "content-type": "application/json",
            "content-length": Buffer.byteLength(BODY),
            ...headers,
          },
        },
        (response) => {
          let text = "";
          response.on("data", (chunk: Buffer) => (text += chunk.toString()));
          response.on("error", reject);
          response.on("end", () => {
            const { statusCode: status = 0, headers: answered } = response;
            if (status !== 200) return resolve({ status, code: codeIn(text) });
            const receipt = String(answered["nearside-receipt"] ?? "");
            const isReplay = answered["idempotent-replayed"] === "true";
            const amount = Number.parseInt(String(answered["nearside-cost"]), 10);
            resolve({ status, paid: { receipt, amount, at: Date.now(), isReplay } });
          });
        },
      );
      sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
      sent.on("error", reject);
      sent.end(BODY);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function codeIn(text: string): string {
  try {
    return String((JSON.parse(text) as { code?: string }).code);
  } catch {
    return text.slice(0, 100);
  }
}
