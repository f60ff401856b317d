import type { Concern } from "./errors.ts";
import type { RequestHeader } from "./headers.ts";
import type { Content, Parameter } from "./schema.ts";

/** Groups of operations, in the order in which people look for them. */
export const TAGS = [
  "Predict",
  "OpenAI",
  "Open Inference Protocol",
  "Model repository",
  "Account",
  "About",
  "Not offered",
] as const;

/** What the document says of one route, beside its path and method. */
export interface Operation {
  readonly tag: (typeof TAGS)[number];
  readonly summary: string;
  readonly description?: string;
  /** Who may ask: whoever shows a key, the operator, or everybody. */
  readonly who: "key" | "operator" | "everybody";
  readonly concerns: readonly Concern[];
  readonly query?: readonly Parameter[];
  readonly headers?: readonly RequestHeader[];
  readonly body?: { readonly required: boolean; readonly content: Content };
  /** Absent where the route refuses whatever comes. */
  readonly answer?: {
    readonly description: string;
    readonly content: Content;
    readonly headers?: readonly string[];
  };
  /** Whoever has the answer already is told so. */
  readonly notModified?: true;
}

/** Operations by `GET /v1/models/:model`. */
export type Operations = Readonly<Record<string, Operation>>;
