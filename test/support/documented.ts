import { problemsWith, resolve } from "./json-schema.ts";

interface Answer {
  readonly $ref?: string;
  readonly headers?: Readonly<Record<string, object>>;
  readonly content?: Readonly<Record<string, { readonly schema?: object }>>;
}

interface Document {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly responses: Readonly<Record<string, Answer>> }>>
    >
  >;
  readonly components: { readonly headers: Readonly<Record<string, { readonly schema: object }>> };
}

/** Of HTTP itself: OpenAPI says the type with the content, and the length with the body. */
const OF_HTTP = new Set(["content-type", "content-length"]);

/** What an OpenAPI document does not say of a real answer, or says otherwise. */
export function undocumented(document: object) {
  const { paths, components } = document as Document;
  return async (method: string, path: string, answer: Response): Promise<string[]> => {
    const { pathname } = new URL(path, "https://edge.test");
    const template = templateOf(Object.keys(paths), pathname);
    const response = paths[template]?.[method.toLowerCase()]?.responses[answer.status];
    const said =
      response?.$ref === undefined ? response : (resolve(document, response.$ref) as Answer);
    if (said === undefined) return [`${method} ${template} does not answer ${answer.status}`];
    const headers = [...answer.headers].flatMap(([name, value]) => {
      if (OF_HTTP.has(name)) return [];
      if (said.headers?.[name] === undefined) return [`${name} is not described`];
      const header = components.headers[name];
      return problemsWith(valueOf(value, header?.schema), header?.schema, document, name);
    });
    return [...headers, ...(await problemsOfBody(answer, said, document))];
  };
}

/** Paths without parameters go first, as in the router. */
function templateOf(templates: readonly string[], pathname: string): string {
  const literal = templates.find((one) => one === pathname);
  return (
    literal ??
    templates.find((one) =>
      new RegExp(`^${one.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(pathname),
    ) ??
    pathname
  );
}

/** Headers are texts; their schemas are of what stands in them. */
function valueOf(text: string, schema: object | undefined): unknown {
  const isNumber = ["integer", "number"].includes(
    String(schema && "type" in schema && schema.type),
  );
  return isNumber ? Number(text) : text;
}

async function problemsOfBody(answer: Response, said: Answer, root: object): Promise<string[]> {
  if (answer.body === null) return said.content === undefined ? [] : ["there is no body"];
  const [type = ""] = (answer.headers.get("content-type") ?? "").split(";");
  const content = said.content?.[type];
  if (content === undefined) return [`${type} is not described`];
  return problemsWith(await valueOfBody(answer, type), content.schema ?? true, root);
}

/** Bytes count as a string, as OpenAPI has them. */
async function valueOfBody(answer: Response, type: string): Promise<unknown> {
  if (type === "application/json" || type.endsWith("+json")) return answer.json();
  return type.startsWith("text/") ? answer.text() : "bytes";
}
