/** What a scripted network was asked for. */
export interface Sent {
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}

export type Step = (signal: AbortSignal) => Response | Promise<Response>;

/** A network that does what the test says, one step for each request; the last one for all that follow. */
export function scripted(...steps: readonly Step[]) {
  const sent: Sent[] = [];
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const step = steps[Math.min(sent.length, steps.length - 1)];
    sent.push({
      url,
      headers: new Headers(init.headers),
      body: await new Response(init.body).text(),
    });
    if (step === undefined || !init.signal) throw new Error("There is no step, or no signal.");
    return step(init.signal);
  };
  return { sent, fetch };
}

export const answering =
  (json: unknown, headers: Record<string, string> = {}): Step =>
  () =>
    Response.json(json, { headers });

export const refusing =
  (status: number, code: string, headers: Record<string, string> = {}): Step =>
  () =>
    new Response(JSON.stringify({ status, code, detail: `It is ${code}.`, field: "inputs" }), {
      status,
      headers: { "content-type": "application/problem+json", ...headers },
    });

export const unreachable: Step = () => {
  throw new TypeError("Failed to fetch");
};

/** Never answers, and does not care for signals. */
export const silent: Step = () => new Promise(() => {});

/** A body in these pieces, which then ends, breaks off, or waits for the caller to leave. */
export const dripping =
  (
    pieces: readonly (string | Uint8Array)[],
    last: "close" | "error" | "wait" = "close",
    onCancel = (): void => {},
  ): Step =>
  () => {
    const left = [...pieces];
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const piece = left.shift();
          if (piece !== undefined) {
            controller.enqueue(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
          } else if (last === "close") controller.close();
          else if (last === "error") controller.error(new Error("Connection reset"));
          else return new Promise(() => {});
        },
        cancel: onCancel,
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };

export const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;
export const token = (content: string): string => event({ choices: [{ delta: { content } }] });
export const DONE = "data: [DONE]\n\n";
