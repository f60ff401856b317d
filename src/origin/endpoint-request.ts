import { NearsideError } from "../errors.ts";
import { readJson } from "./check-answer.ts";
import type { OriginIsolate } from "./context.ts";
import type { Incoming } from "./incoming.ts";
import type { OriginPool, PoolEndpoint } from "./pool.ts";
import { type OutgoingBody, heldBody } from "./request-body.ts";

/** Of what the edge sent, only this goes on. */
const PASSED_ON = ["content-type", "accept", "inference-header-content-length"] as const;

/**
 * Says to an edge that it has been here: a pool whose endpoint is an edge of Nearside's must not send its requests
 * round for ever. The edge answers such a request itself, or not at all.
 */
export const HOP_HEADER = "nearside-hop";

/** The pool names a secret that the Worker does not have. */
export class MissingSecret extends Error {
  override readonly name = "MissingSecret";

  constructor(secretRef: string) {
    super(
      `There is no secret ${secretRef}: put it with ` +
        `\`npx wrangler secret put ${secretRef} --config workers/origin/wrangler.toml\`.`,
    );
  }
}

/** A request as every endpoint gets it, but for what its own entry in the pool says. */
export interface Outgoing {
  readonly incoming: Incoming;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: OutgoingBody;
  readonly pool: OriginPool;
}

/** As much of it as one request needs: a health check has no more. */
type Sendable = Omit<Outgoing, "incoming"> & {
  readonly incoming: Pick<Incoming, "path" | "method">;
};

export function outgoingOf(
  incoming: Incoming,
  received: Headers,
  body: OutgoingBody,
  pool: OriginPool,
  requestId: string,
): Outgoing {
  const headers: [string, string][] = [
    // A compressed body's length would not be that of what is read.
    ["accept-encoding", "identity"],
    ["nearside-request-id", requestId],
  ];
  if (incoming.deadline !== Infinity) headers.push(["nearside-deadline", `${incoming.deadline}`]);
  for (const name of PASSED_ON) {
    const value = received.get(name);
    if (value !== null) headers.push([name, value]);
  }
  return { incoming, headers, body, pool };
}

/**
 * The request for one endpoint, signed where the pool wants it.
 *
 * @throws NearsideError `body_too_large` when a body that is not held would have to be changed
 * @throws MissingSecret
 * @throws Error when the pool wants signatures and there is no key
 */
export async function requestFor(
  endpoint: PoolEndpoint,
  { incoming, headers: common, body: given, pool }: Sendable,
  { sign, secretOf }: Pick<OriginIsolate, "sign" | "secretOf">,
): Promise<Request> {
  const url = urlOf(endpoint, incoming.path, pool.protocol);
  const body = withModel(given, endpoint, pool.protocol);
  const headers = new Headers([
    ...Object.entries(endpoint.headers ?? {}).map(([name, value]) => [name, value]),
    ...common.map(([name, value]) => [name, value]),
  ] as [string, string][]);
  headers.set(HOP_HEADER, "1");
  const { secretRef } = endpoint;
  if (secretRef !== undefined) {
    const secret = secretOf(secretRef);
    if (secret === undefined) throw new MissingSecret(secretRef);
    headers.set("authorization", `Bearer ${secret}`);
  }
  const { method } = incoming;
  if (pool.sign) {
    if (sign === undefined) {
      throw new Error(
        "The pool wants signed requests, and there is no key: make one with generateSigningKeys (src/origin/signing-keys.ts) " +
          "and put it with `npx wrangler secret put SIGNING_KEY --config workers/origin/wrangler.toml`.",
      );
    }
    const bodyDigest = body.kind === "held" ? await body.digest() : undefined;
    const signature = await sign({ method, url, headers, bodyDigest });
    for (const [name, value] of Object.entries(signature)) headers.set(name, value);
  }
  return new Request(url, {
    method,
    headers,
    redirect: "manual",
    ...(body.kind === "held" && { body: body.bytes }),
    ...(body.kind === "stream" && { body: body.stream }),
  });
}

/**
 * Where a path of the protocol is at an endpoint, by the model's name there. An address that ends with the
 * protocol's version, as OpenAI's clients write it (`https://gpu-1.example.com/v1`), names it once.
 */
export function urlOf(
  { url, model }: PoolEndpoint,
  path: string,
  protocol: OriginPool["protocol"],
): string {
  const base = url.replace(/\/+$/, "");
  const version = /^v\d+/.exec(path)?.[0] ?? "";
  const root = base.endsWith(`/${version}`) ? base.slice(0, -version.length - 1) : base;
  const named =
    model === undefined || protocol !== "open-inference"
      ? path
      : path.replace(/^(v2\/models\/)[^/?]+/, `$1${encodeURIComponent(model)}`);
  return `${root}/${named}`;
}

/** OpenAI's protocol names the model in the body. */
function withModel(
  body: OutgoingBody,
  { model }: PoolEndpoint,
  protocol: OriginPool["protocol"],
): OutgoingBody {
  if (model === undefined || protocol !== "openai" || body.kind === "none") return body;
  if (body.kind === "stream") {
    throw new NearsideError("body_too_large", "The request is too large for this pool.");
  }
  const json = readJson(body.bytes);
  if (typeof json !== "object" || json === null || Array.isArray(json)) return body;
  return heldBody(new TextEncoder().encode(JSON.stringify({ ...json, model })));
}
