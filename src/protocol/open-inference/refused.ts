import { NearsideError } from "../../errors.ts";

type Method = "GET" | "POST";

interface Refused {
  readonly methods: readonly Method[];
  readonly paths: readonly string[];
  /** What it is, and what to use instead. */
  readonly because: string;
}

const MODEL_PATHS = ["/v2/models/:model", "/v2/models/:model/versions/:version"];
const MEMORY_PATHS = ["/v2/systemsharedmemory", "/v2/cudasharedmemory"];

/** Extensions of Triton's that an isolate has no use for. */
export const REFUSED: readonly Refused[] = [
  {
    methods: ["GET", "POST"],
    paths: ["/v2/trace/setting", "/v2/models/:model/trace/setting"],
    because:
      "Tracing can't be set: every answer tells its phases in Server-Timing, and its request in X-Request-Id.",
  },
  {
    methods: ["GET", "POST"],
    paths: ["/v2/logging"],
    because:
      "Logging can't be set by a request: the log is the Worker's own; see it with `npx wrangler tail`.",
  },
  {
    methods: ["POST"],
    paths: MODEL_PATHS.flatMap((path) => [`${path}/generate`, `${path}/generate_stream`]),
    because:
      "Generate is not offered: models that write text answer POST /v1/chat/completions and /v1/completions, with `stream` too.",
  },
  {
    methods: ["POST"],
    paths: MEMORY_PATHS.flatMap((path) => [
      `${path}/region/:region/register`,
      `${path}/region/:region/unregister`,
      `${path}/unregister`,
    ]),
    because:
      "Caller and isolate share no memory: send tensors as bytes, by the extension binary_tensor_data.",
  },
  {
    methods: ["GET"],
    paths: MEMORY_PATHS.map((path) => `${path}/region/:region/status`),
    because: "No region is registered, because caller and isolate share no memory.",
  },
];

/** `GET /v2/systemsharedmemory/status`, `GET /v2/cudasharedmemory/status`: as Triton answers with none registered. */
export const SHARED_MEMORY_STATUS = MEMORY_PATHS.map((path) => `${path}/status`);

/** @throws NearsideError `extension_not_offered`, always */
export function refuseExtension(because: string): never {
  throw new NearsideError("extension_not_offered", because);
}
