import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

import { ConnectionLost, stripeStandIn } from "../../../../test/support/stripe-stand-in.ts";
import { HOST } from "../../state-folder.ts";

export const METER = "nearside_requests";

/** A server on a real socket, away for a while at the beginning. */
export interface Collector {
  readonly url: string;
  /** Events by their ids. */
  readonly counted: () => readonly string[];
  stop(): void;
}

type Handle = (request: Request) => Promise<Response>;

/** Stripe's meter events by Stripe's published rules. Now and then nothing arrives, or its answer is lost. */
export async function startStripe(): Promise<Collector> {
  let requests = 0;
  const stripe = stripeStandIn({
    now: Date.now,
    secretKey: "rk_test_1",
    meters: [METER],
    rate: 500,
    outage: () => {
      requests++;
      if (requests < 20) return 503;
      if (requests % 41 === 0) return "lost";
      return requests % 53 === 0 ? "down" : undefined;
    },
  });
  const server = await serve((request) => stripe.handle(request));
  return { ...server, counted: () => stripe.counted.map(({ identifier }) => identifier) };
}

/** CloudEvents over HTTP, in batches, as OpenMeter takes them. */
export async function startCloudEvents(): Promise<Collector> {
  const ids: string[] = [];
  const known = new Set<string>();
  let requests = 0;
  const server = await serve(async (request) => {
    requests++;
    if (requests < 4) return new Response(null, { status: 502 });
    const events = (await request.json()) as { id: string; source: string }[];
    for (const { id, source } of events) {
      // By the specification, source and id together make an event known.
      if (known.has(`${source} ${id}`)) continue;
      known.add(`${source} ${id}`);
      ids.push(id);
    }
    if (requests % 5 === 0) throw new ConnectionLost("the answer is lost");
    return new Response(null, { status: 204 });
  });
  return { ...server, counted: () => ids };
}

async function serve(handle: Handle): Promise<Pick<Collector, "url" | "stop">> {
  const server = createServer((incoming, outgoing) => {
    const answer = async (): Promise<void> => {
      const headers = new Headers();
      for (const [name, value] of Object.entries(incoming.headers)) {
        if (typeof value === "string") headers.set(name, value);
      }
      const url = `http://${HOST}${incoming.url ?? "/"}`;
      const body = new Uint8Array(await buffer(incoming));
      const method = incoming.method ?? "GET";
      const response = await handle(
        new Request(url, { method, headers, ...(body.length > 0 && { body }) }),
      );
      outgoing.writeHead(response.status, Object.fromEntries(response.headers));
      outgoing.end(await response.text());
    };
    answer().catch(() => incoming.socket.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, HOST, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${HOST}:${port}`,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
