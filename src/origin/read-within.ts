import { joined } from "../bytes.ts";
import { NearsideError } from "../errors.ts";

/**
 * Reads a body to its end, and holds no more than the limit.
 *
 * @param signal stops it: what is there by then is thrown away
 * @throws NearsideError `origin_failed` when it is longer, or breaks off; the signal's reason
 */
export async function readWithin(
  { body, headers }: Pick<Response, "body" | "headers">,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const stop = (): void => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", stop, { once: true });
  try {
    if (Number(headers.get("content-length") ?? 0) > maxBytes) throw tooLong();
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > maxBytes) throw tooLong();
      chunks.push(value);
    }
    signal.throwIfAborted();
    return joined(chunks);
  } catch (cause) {
    stop();
    signal.throwIfAborted();
    if (cause instanceof NearsideError) throw cause;
    throw new NearsideError("origin_failed", "The model's origin pool broke off.", { cause });
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function tooLong(): NearsideError {
  return new NearsideError("origin_failed", "The answer of the model's origin pool is too long.");
}
