import { formAt } from "../problem.ts";
import { schemas } from "./bodies.ts";
import { codesOf, errorForm } from "./errors.ts";
import {
  EVERYWHERE,
  OF_REFUSALS,
  requestHeaders,
  RESPONSE_HEADERS,
  responseHeaders,
} from "./headers.ts";
import { type Operation, TAGS } from "./operation.ts";
import { operations } from "./operations.ts";
import { documentedPath, namesIn, type Parameter, refusals } from "./schema.ts";

/** A route, as the router has it. */
export interface KnownRoute {
  readonly method: string;
  readonly path: string;
}

const ABOUT =
  "Small models, run at the data centre nearest to the caller, and in an origin pool where they need one. " +
  "Every answer says in its headers which version answered, why, where, and what it cost.";

const VERSION_PATH = "/versions/:version";

/** Describes the edge's API (OpenAPI 3.1), route by route. */
export function edgeDocument(routes: readonly KnownRoute[]): object {
  const known = operations();
  const shared = new SharedResponses();
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path } of routes) {
    const operation = known[`${method} ${path.replace(VERSION_PATH, "")}`];
    if (operation === undefined) continue;
    (paths[documentedPath(path)] ??= {})[method.toLowerCase()] = described(path, operation, shared);
  }
  return {
    openapi: "3.1.0",
    info: { title: "Nearside", version: "1", description: ABOUT },
    tags: TAGS.map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        key: {
          type: "http",
          scheme: "bearer",
          description: "A key (`nsk_live_…`, `nsk_test_…`), or a client token made of one.",
        },
        apiKey: { type: "apiKey", in: "header", name: "X-Api-Key", description: "The same key." },
        operator: { type: "http", scheme: "bearer", description: "The operator's token." },
      },
      headers: RESPONSE_HEADERS,
      responses: shared.all,
      schemas: schemas(),
    },
  };
}

/** The empty one: callers without a key are answered where the operator lets them in. */
const SECURITY: { readonly [W in Operation["who"]]: readonly object[] } = {
  key: [{ key: [] }, { apiKey: [] }, {}],
  operator: [{ operator: [] }, {}],
  everybody: [],
};

function described(path: string, operation: Operation, shared: SharedResponses): object {
  const { tag, summary, description, who, answer, body, query = [], headers = [] } = operation;
  const everywhere = responseHeaders(EVERYWHERE);
  const hasVersion = path.includes(VERSION_PATH);
  return {
    tags: [tag],
    summary: hasVersion ? summary.replace(/\.$/, ": one version.") : summary,
    ...(description !== undefined && { description }),
    security: SECURITY[who],
    parameters: [
      ...namesIn(path).map((name) => inPath(name, body !== undefined)),
      ...query,
      ...requestHeaders([...headers, "x-request-id"]),
    ],
    ...(body && { requestBody: body }),
    responses: {
      ...(answer && {
        200: {
          description: answer.description,
          headers: { ...everywhere, ...responseHeaders(answer.headers ?? []) },
          content: answer.content,
        },
      }),
      ...(operation.notModified && {
        304: {
          description: "The caller has it already.",
          headers: { ...everywhere, ...responseHeaders(answer?.headers ?? []) },
        },
      }),
      ...shared.refer(
        refusals(codesOf(operation.concerns), errorForm(formAt(path)), {
          ...everywhere,
          ...responseHeaders(OF_REFUSALS),
        }),
      ),
    },
  };
}

/** Most operations refuse alike: each refusal is written once. */
class SharedResponses {
  readonly all: Record<string, object> = {};
  readonly #names = new Map<string, string>();

  /** @returns the same by status, as references */
  refer(responses: Readonly<Record<string, object>>): Record<string, object> {
    return Object.fromEntries(
      Object.entries(responses).map(([status, response]) => [
        status,
        { $ref: `#/components/responses/${this.#nameOf(status, response)}` },
      ]),
    );
  }

  #nameOf(status: string, response: object): string {
    const text = JSON.stringify(response);
    const name = this.#names.get(text) ?? `refusal-${status}-${this.#names.size + 1}`;
    this.#names.set(text, name);
    this.all[name] = response;
    return name;
  }
}

function inPath(name: string, isAsked: boolean): Parameter {
  const examples: Readonly<Record<string, string>> = { model: "iris", version: "1" };
  const example = isAsked ? examples[name] : undefined;
  return {
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
    ...(example !== undefined && { example }),
  };
}
