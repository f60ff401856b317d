import { Agent, request } from "node:http";

export interface BenchRequest {
  readonly url: string;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
}

/** A client that keeps one connection open and costs less than fetch. */
export class KeepAliveClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /** Sends one request and reads its whole answer. @returns milliseconds */
  send({ url, contentType, headers, body }: BenchRequest): Promise<number> {
    return new Promise((resolve, reject) => {
      const began = performance.now();
      const sent = request(
        url,
        {
          agent: this.#agent,
          method: "POST",
          headers: {
            "content-type": contentType,
            "content-length": Buffer.byteLength(body),
            ...headers,
          },
        },
        (response) => {
          response.resume();
          response.on("end", () => {
            if (response.statusCode === 200) resolve(performance.now() - began);
            else reject(new Error(`${url} answered ${response.statusCode}.`));
          });
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Requests answered in a second, over several connections, for a bounded time. */
export async function requestsPerSecond(
  what: BenchRequest,
  connections: number,
  milliseconds: number,
): Promise<number> {
  const began = performance.now();
  let answered = 0;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = new KeepAliveClient();
      while (performance.now() - began < milliseconds) {
        await client.send(what);
        answered++;
      }
      client.close();
    }),
  );
  return (answered * 1000) / (performance.now() - began);
}
