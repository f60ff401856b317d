import {
  decodeBinaryRequest,
  encodeBinaryResponse,
  HEADER_LENGTH,
  headerLengthOf,
  type TensorRequest,
} from "../../src/protocol/open-inference/binary.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";

/** What an origin was asked for. */
export interface Asked {
  readonly path: string;
  readonly headers: Headers;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
}

export type Respond = (asked: Asked) => Response | Promise<Response>;

/** An origin Worker that answers what the test says, and keeps what it was asked for. */
export function fakeOrigin(first: Respond) {
  const asked: Asked[] = [];
  const origin = {
    asked,
    respond: first,
    binding: {
      async fetch(url: string, init: RequestInit) {
        const request = new Request(url, init);
        const one = {
          path: new URL(url).pathname,
          headers: request.headers,
          bytes: new Uint8Array(await request.arrayBuffer()),
          signal: init.signal as AbortSignal,
        };
        asked.push(one);
        return Promise.race([origin.respond(one), aborted(one.signal)]);
      },
    } as unknown as Fetcher,
  };
  return origin;
}

/** Fails as a fetch does whose signal is aborted. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

/** Answers an inference request with tensors as bytes, as a server of the protocol would. */
export function computing(
  compute: (inputs: TensorRequest["inputs"]) => Readonly<Record<string, Tensor>>,
): Respond {
  return ({ bytes, headers }) => {
    const request = decodeBinaryRequest(bytes, headerLengthOf(headers));
    const tensors = Object.entries(compute(request.inputs));
    const { body, headerLength } = encodeBinaryResponse({
      model: "model",
      id: request.id,
      outputs: tensors.map(([name, tensor]) => ({
        name,
        tensor,
        binary:
          request.outputs?.find((output) => output.name === name)?.binary ?? request.binaryOutputs,
      })),
    });
    return new Response(body, {
      headers: {
        "content-type":
          headerLength === undefined ? "application/json" : "application/octet-stream",
        ...(headerLength !== undefined && { [HEADER_LENGTH]: String(headerLength) }),
        "nearside-attempts": "2",
        "nearside-hedged": "false",
        "nearside-endpoint-ms": "1.5",
      },
    });
  };
}

/** Fails as the origin Worker does. */
export function failing(code: string, status: number, retryAfter?: string): Respond {
  return () =>
    new Response(JSON.stringify({ code, detail: "secret: gpu-1 says no" }), {
      status,
      headers: {
        "content-type": "application/problem+json",
        ...(retryAfter !== undefined && { "retry-after": retryAfter }),
      },
    });
}
