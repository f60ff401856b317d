import { startEdge } from "../../src/cli/local-stack.ts";
import { type BenchRequest, KeepAliveClient, requestsPerSecond } from "./client.ts";
import { type Figure, figureOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";
import { BENCH_STATE, EDGE_STATE, prepareSubjects, type Subject } from "./subjects.ts";
import { bundleBenchWorker, startBenchWorker } from "./worker.ts";

/** Requests of each side in a sample; the sample is their median. */
const REQUESTS = 60;
const WARM_UP_REQUESTS = 300;
const CONNECTIONS = 8;
const LOAD_MS = 1_500;

export interface WarmCase {
  readonly model: string;
  readonly bareMs: Figure;
  readonly stackMs: Figure;
  readonly echoMs: Figure;
  /** Median of the stack less the medians of echo and bare run. */
  readonly overheadMs: number;
  readonly requestsPerSecond: number;
}

/**
 * What a warm request costs: the bare session run inside workerd, the whole stack over HTTP, and a Worker
 * that parses and echoes the same JSON. Stack and echo are asked in turn.
 */
export async function warm(
  samples: number,
  say: (line: string) => void,
  models?: readonly string[],
): Promise<Report & { readonly cases: readonly WarmCase[] }> {
  const { subjects, benchFolder } = await prepareSubjects(say);
  const echoFolder = await bundleBenchWorker("echo");
  const edge = await startEdge({ edgePort: 0, stateFolder: EDGE_STATE });
  const echo = await startBenchWorker(echoFolder, undefined);
  const bare = await startBenchWorker(benchFolder, BENCH_STATE);
  try {
    const cases: WarmCase[] = [];
    for (const subject of subjects) {
      if (models?.includes(subject.model) === false) continue;
      say(subject.model);
      cases.push(await measure(subject, edge.edgeUrl, echo.url, bare.url, samples));
    }
    return reportOf(cases);
  } finally {
    await Promise.all([edge.stop(), echo.stop(), bare.stop()]);
  }
}

async function measure(
  { model, feedsJson }: Subject,
  edgeUrl: string,
  echoUrl: string,
  bareUrl: string,
  samples: number,
): Promise<WarmCase> {
  const inputs = Object.entries(JSON.parse(feedsJson) as Record<string, object>);
  const body = JSON.stringify({ inputs: inputs.map(([name, tensor]) => ({ name, ...tensor })) });
  const json = { contentType: "application/json", body };
  const stackRequest: BenchRequest = { url: `${edgeUrl}/v2/models/${model}/infer`, ...json };
  const echoRequest: BenchRequest = { url: echoUrl, ...json };
  const clients = { stack: new KeepAliveClient(), echo: new KeepAliveClient() };
  const stackMs: number[] = [];
  const echoMs: number[] = [];
  const slow = (await clients.stack.send(stackRequest)) > 100;
  for (let request = 0; request < (slow ? 10 : WARM_UP_REQUESTS); request++) {
    await clients.stack.send(stackRequest);
    await clients.echo.send(echoRequest);
  }
  for (let sample = 0; sample < samples; sample++) {
    const stack: number[] = [];
    const echo: number[] = [];
    for (let request = 0; request < REQUESTS; request++) {
      stack.push(await clients.stack.send(stackRequest));
      echo.push(await clients.echo.send(echoRequest));
    }
    stackMs.push(figureOf(stack).median);
    echoMs.push(figureOf(echo).median);
  }
  clients.stack.close();
  clients.echo.close();
  const runs = await fetch(`${bareUrl}/run/-/${model}`, { method: "POST", body: feedsJson });
  const figures = {
    bareMs: figureOf((await runs.json()) as number[]),
    stackMs: figureOf(stackMs),
    echoMs: figureOf(echoMs),
  };
  const overheadMs = figures.stackMs.median - figures.echoMs.median - figures.bareMs.median;
  return {
    model,
    ...figures,
    overheadMs: Number(overheadMs.toFixed(3)),
    requestsPerSecond: Math.round(await requestsPerSecond(stackRequest, CONNECTIONS, LOAD_MS)),
  };
}

function reportOf(cases: readonly WarmCase[]): Report & { readonly cases: readonly WarmCase[] } {
  return {
    cases,
    columns: ["model", "bare run ms", "echo ms", "stack ms", "overhead ms", "requests/s"],
    rows: cases.map((one) => [
      one.model,
      spread(one.bareMs),
      spread(one.echoMs),
      spread(one.stackMs),
      String(one.overheadMs),
      String(one.requestsPerSecond),
    ]),
    picture: {
      title: "A warm request",
      unit: "ms",
      bars: cases.flatMap(({ model, bareMs, echoMs, stackMs }) => [
        { label: model, figure: stackMs, kind: "whole stack" },
        { label: "", figure: echoMs, kind: "echo" },
        { label: "", figure: bareMs, kind: "bare run" },
      ]),
    },
  };
}
