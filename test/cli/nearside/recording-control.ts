import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

import { afterAll, beforeAll, beforeEach } from "vitest";

interface Recorded {
  readonly request: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

export interface Answer {
  readonly status?: number;
  readonly etag?: string;
  readonly body?: unknown;
}

/** A control plane that says what the test tells it to, and keeps what it is asked. */
export interface RecordingControl {
  readonly url: string;
  readonly seen: readonly Recorded[];
  /** By method and path; anything else is not found. */
  readonly answers: Record<string, Answer>;
}

/** One for the file it is called in; each test begins with nothing seen, and no answers. */
export function recordingControl(): RecordingControl {
  const control: { url: string; seen: Recorded[]; answers: Record<string, Answer> } = {
    url: "",
    seen: [],
    answers: {},
  };
  const server = createServer(async (request, response) => {
    const sent = await text(request);
    const line = `${request.method} ${request.url}`;
    control.seen.push({
      request: line,
      headers: request.headers,
      body: sent === "" ? undefined : JSON.parse(sent),
    });
    const {
      status = 200,
      etag,
      body = { changes: [] },
    } = control.answers[line] ?? {
      status: 404,
      body: { code: "label_not_found", detail: "nothing here" },
    };
    response.writeHead(status, etag === undefined ? {} : { etag });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    control.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));
  beforeEach(() => {
    control.seen = [];
    control.answers = {};
  });
  return control;
}
