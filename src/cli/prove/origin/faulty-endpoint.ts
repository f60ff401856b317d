import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { buffer } from "node:stream/consumers";

import { receivedUrl } from "../../../origin/received-url.ts";
import { ReplayGuard } from "../../../origin/replay-guard.ts";
import type { SigningKeys } from "../../../origin/signing-keys.ts";
import { createVerifier } from "../../../origin/verify.ts";
import { HOST } from "../../state-folder.ts";

/** Everything that an endpoint can do wrong. */
export const FAULTS = [
  "refuse",
  "hang",
  "reset",
  "error",
  "slow",
  "corrupt",
  "length",
  "stall",
  "skew",
  "apology",
  "page",
  "empty",
] as const;
export type Fault = (typeof FAULTS)[number];

/** Said with status 200: an error, a proxy's page, nothing. */
const NONSENSE: { readonly [F in Fault]?: { readonly type: string; readonly text: string } } = {
  apology: { type: "application/json", text: '{"error":"the engine\'s own words"}' },
  page: { type: "text/html", text: "<!doctype html><title>Starting</title>" },
  empty: { type: "application/json", text: "" },
};

/** What an endpoint needs to compute when it is well: something between these. */
const SERVICE_MS = { least: 8, most: 16 };
const SLOWER = 10;
/** Far more than a verifier lets pass. */
const SKEW_MS = 10 * 60_000;
/** Between the events of a stream. */
const EVENT_MS = 20;
const EVENTS = 5;

export interface EndpointCounts {
  /** Requests that arrived. */
  received: number;
  answered: number;
  /** Connections that were closed before the answer was over: a hedge that lost, a caller that left. */
  cancelled: number;
}

/** An engine on a real socket, which answers well, or in one of the ways in which engines don't. */
export class FaultyEndpoint {
  readonly counts: EndpointCounts = { received: 0, answered: 0, cancelled: 0 };
  readonly #verify: ReturnType<typeof createVerifier>;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #fault: Fault | undefined;

  constructor({ keyId, publicKey }: SigningKeys) {
    this.#verify = createVerifier({
      keys: new Map([[keyId, publicKey]]),
      now: () => Date.now() + (this.#fault === "skew" ? SKEW_MS : 0),
      replay: new ReplayGuard(),
    });
  }

  get url(): string {
    return `http://${HOST}:${this.#port}`;
  }

  async start(): Promise<this> {
    await this.#listen();
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** From now on, and for what is under way where it still matters. Nothing: well again. */
  async become(fault: Fault | undefined): Promise<void> {
    this.#fault = fault;
    if (fault === "refuse") await this.stop();
    else if (this.#server === undefined) await this.#listen();
  }

  async #listen(): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    // The same port again after a refusal: that is its address.
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, HOST, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.counts.received++;
    response.on("close", () => {
      if (response.writableFinished) this.counts.answered++;
      else this.counts.cancelled++;
    });
    const body = new Uint8Array(await buffer(request));
    const { method = "", url: target } = request;
    const url = receivedUrl(request.headers.host, target);
    const headers = Object.entries(request.headersDistinct).flatMap(([name, values = []]) =>
      values.map((value): [string, string] => [name, value]),
    );
    const verdict = await this.#verify({ method, url, headers, body });
    if (!verdict.ok) {
      response.writeHead(401).end(verdict.reason);
      return;
    }
    const { id, events } = JSON.parse(new TextDecoder().decode(body)) as Asked;
    const wait = SERVICE_MS.least + Math.random() * (SERVICE_MS.most - SERVICE_MS.least);
    await pause(this.#fault === "slow" ? wait * SLOWER : wait);
    const nonsense = this.#fault && NONSENSE[this.#fault];
    if (nonsense !== undefined) {
      response.writeHead(200, { "content-type": nonsense.type }).end(nonsense.text);
    } else if (events === true) await this.#writeEvents(response);
    else this.#write(response, JSON.stringify({ id, outputs: [{ name: "y", data: [1, 2, 3] }] }));
  }

  #write(response: ServerResponse, answer: string): void {
    const half = answer.slice(0, answer.length / 2);
    const json = (length: number) =>
      response.writeHead(200, { "content-type": "application/json", "content-length": length });
    switch (this.#fault) {
      case "hang":
        return;
      case "error":
        response.writeHead(500).end("the engine's own words");
        return;
      case "reset":
        json(answer.length).write(half, () => response.socket?.resetAndDestroy());
        return;
      case "corrupt":
        json(half.length).end(half);
        return;
      case "length":
        json(answer.length + 10).write(answer, () => response.socket?.end());
        return;
      case "stall":
        json(answer.length).write(half);
        return;
      default:
        json(answer.length).end(answer);
    }
  }

  async #writeEvents(response: ServerResponse): Promise<void> {
    if (this.#fault === "hang") return;
    if (this.#fault === "error") {
      response.writeHead(500).end();
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (let event = 0; event < EVENTS && !response.destroyed; event++) {
      response.write(`data: ${event}\n\n`);
      if (this.#fault === "stall") return;
      await pause(EVENT_MS);
      if (this.#fault === "reset") {
        response.socket?.resetAndDestroy();
        return;
      }
    }
    response.end("data: [DONE]\n\n");
  }
}

/** What the load asks: to hear its own number again. */
interface Asked {
  readonly id: string;
  readonly events?: boolean;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
