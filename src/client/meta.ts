/** What an answer says of itself. */
export interface Meta {
  readonly model: string | undefined;
  readonly version: number | undefined;
  /** Of the flag that chose the version. */
  readonly variant: string | undefined;
  readonly placement: "edge" | "origin" | undefined;
  /** How the model got ready; undefined for what the origin answered. */
  readonly start: "warm" | "restored" | "loaded" | undefined;
  readonly requestId: string | undefined;
  /** In nano-dollars; undefined for whoever shows no key. A stream's is known when it has ended. */
  readonly costNano: number | undefined;
  /** For {@link verifyReceipt}. A stream's is known when it has ended. */
  readonly receipt: string | undefined;
  /** Milliseconds by phase, as the server measured them. */
  readonly timing: Readonly<Record<string, number>>;
  /** Whether this is the answer to an earlier request with the same Idempotency-Key. */
  readonly replayed: boolean;
  /** How often the client asked. */
  readonly attempts: number;
  /** Everything else. */
  readonly headers: Headers;
}

/** @param attempts how often the client asked */
export function metaOf({ headers }: Response, attempts: number): Meta {
  const get = (name: string): string | undefined => headers.get(name) ?? undefined;
  const version = get("nearside-version");
  return {
    model: get("nearside-model"),
    version: version === undefined ? undefined : Number(version),
    variant: get("nearside-variant"),
    placement: get("nearside-placement") as Meta["placement"],
    start: get("nearside-start") as Meta["start"],
    requestId: get("x-request-id"),
    costNano: nanoOf(get("nearside-cost")),
    receipt: get("nearside-receipt"),
    timing: timingOf(get("server-timing")),
    replayed: headers.has("idempotent-replayed"),
    attempts,
    headers,
  };
}

/** `120 nano-usd` */
export function nanoOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

/** `decode;dur=0.2, infer;dur=4` */
function timingOf(header = ""): Record<string, number> {
  const timing: Record<string, number> = {};
  for (const [, name = "", duration] of header.matchAll(/([\w-]+)[^,]*?;\s*dur=([\d.]+)/g)) {
    timing[name] = Number(duration);
  }
  return timing;
}
