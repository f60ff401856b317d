import type { Delivery } from "../outbox.ts";

/** An export that takes longer has lost its turn; the event is sent again. */
export const EXPORT_TIMEOUT_MS = 10_000;

export type Fetch = (request: Request) => Promise<Response>;

/** Answers that another try may change; of a key that is refused, once someone has changed it. */
export function isPassing(status: number): boolean {
  return [401, 403, 408, 409, 425, 429].includes(status) || status >= 500;
}

/** `Retry-After`, of either form (RFC 9110 §10.2.3); a time is held against the sender's own clock. */
export function retryAfterSeconds({ headers }: Response): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  const milliseconds = Date.parse(text) - Date.parse(headers.get("date") ?? "");
  return milliseconds >= 0 ? Math.ceil(milliseconds / 1_000) : undefined;
}

export function later(error: string, response?: Response): Delivery {
  const seconds = response && retryAfterSeconds(response);
  return { kind: "later", error, ...(seconds !== undefined && { retryAfterSeconds: seconds }) };
}

/** Sends a request; where nothing comes back, nobody knows whether it arrived. */
export async function attempt(
  request: Request,
  fetch: Fetch,
  interpret: (response: Response) => Promise<Delivery>,
): Promise<Delivery> {
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    return later(error instanceof Error ? `${error.name}: ${error.message}` : "no answer");
  }
  return interpret(response);
}
