import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { FaultyEndpoint } from "../../src/cli/prove/origin/faulty-endpoint.ts";
import { Load, waitOf } from "../../src/cli/prove/origin/load.ts";
import { type OriginStack, startOrigin } from "../../src/cli/prove/origin/origin-stack.ts";
import { HOST } from "../../src/cli/state-folder.ts";
import { KeepAliveClient } from "./client.ts";
import { type Figure, figureOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";

const WARM_UP_REQUESTS = 300;
const REQUESTS = 200;
const BODY = JSON.stringify({
  inputs: [{ name: "x", shape: [1, 4], datatype: "FP32", data: [1, 2, 3, 4] }],
});
const ANSWER = JSON.stringify({
  outputs: [{ name: "y", shape: [1, 3], datatype: "FP32", data: [1, 2, 3] }],
});

const PER_SECOND = 100;
const LOAD_MS = 3_000;
/** Until the broken two are ejected: what that costs is told by `npm run prove -- origin`. */
const SETTLE_MS = 3_000;

const LARGE_PATH = "/v2/models/large/infer";
const STREAM_BYTES = 100_000_000;
const PIECE = Buffer.alloc(65_536, 7);
const MEGABYTE = 1e6;

export interface OriginCase {
  readonly what: string;
  readonly figures: Readonly<Record<string, Figure>>;
}

/** What the origin Worker costs: against a direct call, with two of four endpoints broken, and with a large stream. */
export async function origin(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly OriginCase[] }> {
  const instant = await startInstant();
  const endpoints = { healthy: [] as FaultyEndpoint[], broken: [] as FaultyEndpoint[] };
  const stack = await startOrigin(async (keys) => {
    for (const side of SIDES) {
      for (let at = 0; at < 4; at++) endpoints[side].push(await new FaultyEndpoint(keys).start());
    }
    const pool = { protocol: "open-inference", allowPrivate: true } as const;
    const urls = (side: Side) => endpoints[side].map(({ url }) => ({ url }));
    return {
      instant: { ...pool, endpoints: [{ url: instant.url }] },
      healthy: { ...pool, endpoints: urls("healthy") },
      broken: { ...pool, timeoutMs: 1_000, endpoints: urls("broken") },
    };
  });
  try {
    const cases = [
      await measureForwarding(stack, instant.url, samples, say),
      await measureFaults(stack, endpoints.broken, samples, say),
      await measureStream(stack, samples, say),
    ];
    return reportOf(cases);
  } finally {
    await stack.stop();
    await Promise.all(
      Object.values(endpoints)
        .flat()
        .map((endpoint) => endpoint.stop()),
    );
    instant.stop();
  }
}

const SIDES = ["healthy", "broken"] as const;
type Side = (typeof SIDES)[number];

/** An endpoint that takes no time, and one path with a large answer. */
async function startInstant() {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      if (request.url === LARGE_PATH) {
        response.writeHead(200, {
          "content-type": "application/json",
          "content-length": STREAM_BYTES,
        });
        let left = STREAM_BYTES;
        const write = (): void => {
          while (left > 0) {
            const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE;
            left -= piece.length;
            if (!response.write(piece)) {
              response.once("drain", write);
              return;
            }
          }
          response.end();
        };
        write();
      } else {
        response.writeHead(200, {
          "content-type": "application/json",
          "content-length": ANSWER.length,
        });
        response.end(ANSWER);
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, HOST, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${HOST}:${port}`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The same request straight to the endpoint and through the Worker, in turn. */
async function measureForwarding(
  { url }: OriginStack,
  endpoint: string,
  samples: number,
  say: (line: string) => void,
): Promise<OriginCase> {
  const clients = { direct: new KeepAliveClient(), forwarded: new KeepAliveClient() };
  const urls = {
    direct: `${endpoint}/v2/models/m/infer`,
    forwarded: `${url}/pools/instant/v2/models/m/infer`,
  };
  const send = (side: keyof typeof urls): Promise<number> =>
    clients[side].send({ url: urls[side], contentType: "application/json", body: BODY });
  for (let request = 0; request < WARM_UP_REQUESTS; request++) {
    await send("direct");
    await send("forwarded");
  }
  const measured = { direct: [] as number[], forwarded: [] as number[], added: [] as number[] };
  for (let sample = 1; sample <= samples; sample++) {
    say(`forwarding, sample ${sample} of ${samples}`);
    const milliseconds = { direct: [] as number[], forwarded: [] as number[] };
    for (let request = 0; request < REQUESTS; request++) {
      milliseconds.direct.push(await send("direct"));
      milliseconds.forwarded.push(await send("forwarded"));
    }
    const [direct, forwarded] = [figureOf(milliseconds.direct), figureOf(milliseconds.forwarded)];
    measured.direct.push(direct.median);
    measured.forwarded.push(forwarded.median);
    measured.added.push(forwarded.median - direct.median);
  }
  for (const client of Object.values(clients)) client.close();
  return { what: "one request", figures: figuresOf(measured, "ms") };
}

/** Both pools under the same load, in turn; of one of them two endpoints are broken. */
async function measureFaults(
  { url }: OriginStack,
  broken: readonly FaultyEndpoint[],
  samples: number,
  say: (line: string) => void,
): Promise<OriginCase> {
  const loads = {
    healthy: new Load(`${url}/pools/healthy/v2/models/m/infer`),
    broken: new Load(`${url}/pools/broken/v2/models/m/infer`),
  };
  const run = (side: Side, milliseconds: number) => {
    const began = performance.now();
    return loads[side].run(PER_SECOND, () => performance.now() - began >= milliseconds);
  };
  for (const side of SIDES) await run(side, SETTLE_MS);
  await broken[0]?.become("hang");
  await broken[1]?.become("reset");
  await run("broken", SETTLE_MS);
  const measured = { healthy: [] as number[], broken: [] as number[], failed: [] as number[] };
  for (let sample = 1; sample <= samples; sample++) {
    say(`two of four broken, sample ${sample} of ${samples}`);
    for (const side of sample % 2 === 0 ? SIDES : SIDES.toReversed()) {
      const seen = await run(side, LOAD_MS);
      measured[side].push(waitOf(seen, 0.99));
      if (side === "broken") {
        measured.failed.push(seen.filter(({ problem }) => problem !== undefined).length);
      }
    }
  }
  for (const load of Object.values(loads)) load.close();
  const { failed, ...waits } = measured;
  return {
    what: "99 of 100 requests",
    figures: { ...figuresOf(waits, "ms"), failed: figureOf(failed) },
  };
}

/** 100 MB through the Worker, and how much larger its process is meanwhile. */
async function measureStream(
  { url }: OriginStack,
  samples: number,
  say: (line: string) => void,
): Promise<OriginCase> {
  const pid = await workerdPid();
  const measured = { seconds: [] as number[], grownMB: [] as number[] };
  for (let sample = 1; sample <= samples; sample++) {
    say(`100 MB, sample ${sample} of ${samples}`);
    const before = await residentBytes(pid);
    const began = performance.now();
    const response = await fetch(`${url}/pools/instant${LARGE_PATH}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: BODY,
    });
    let received = 0;
    let most = before;
    let looked = began;
    for await (const piece of response.body ?? []) {
      received += piece.length;
      if (performance.now() - looked < 10) continue;
      looked = performance.now();
      most = Math.max(most, await residentBytes(pid));
    }
    if (received !== STREAM_BYTES) throw new Error(`Only ${received} bytes came through.`);
    measured.seconds.push((performance.now() - began) / 1_000);
    measured.grownMB.push((most - before) / MEGABYTE);
  }
  return { what: "a stream of 100 MB", figures: figuresOf(measured, "") };
}

/** The child of this process that Miniflare has started. Linux only; elsewhere its memory is not told. */
async function workerdPid(): Promise<string> {
  const children = await fileOf(`/proc/${process.pid}/task/${process.pid}/children`);
  for (const pid of children.trim().split(" ")) {
    if ((await fileOf(`/proc/${pid}/comm`)).trim() === "workerd") return pid;
  }
  return "";
}

const fileOf = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");

async function residentBytes(pid: string): Promise<number> {
  const status = await fileOf(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1_024;
}

function figuresOf(
  measured: Readonly<Record<string, readonly number[]>>,
  unit: string,
): Record<string, Figure> {
  return Object.fromEntries(
    Object.entries(measured).map(([name, values]) => [
      `${name}${unit === "" ? "" : ` ${unit}`}`,
      figureOf(values),
    ]),
  );
}

function reportOf(
  cases: readonly OriginCase[],
): Report & { readonly cases: readonly OriginCase[] } {
  return {
    cases,
    columns: ["what", "measured", "median (range)"],
    rows: cases.flatMap(({ what, figures }) =>
      Object.entries(figures).map(([name, figure]) => [what, name, spread(figure)]),
    ),
    picture: {
      title:
        "Through the origin Worker, against a direct call on loopback and with two of four endpoints broken",
      unit: "ms",
      bars: cases.flatMap(({ what, figures }) =>
        Object.entries(figures)
          .filter(([name]) => name.endsWith(" ms") && !name.startsWith("added"))
          .map(([name, figure]) => ({
            label: `${what}: ${name.slice(0, -3)}`,
            figure,
            kind: name,
          })),
      ),
    },
  };
}
