import { NearsideError } from "../../errors.ts";
import type { Context } from "../../context.ts";
import { type Target, describedVersion } from "../../routing/choose.ts";
import type { Tensor } from "../../runtime/tensor.ts";
import { decodeJson, isJson, mediaType, readBody } from "../body.ts";
import { answer } from "../pipeline.ts";
import { decodeInferRequest } from "./decode.ts";
import { encodeInferResponse } from "./encode.ts";
import { modelMetadata, serverMetadata } from "./metadata.ts";

/**
 * JSON spends up to 20 bytes on a float: a 224×224×3 image fits. Text, parsed values and tensors of a body
 * stand beside the models in the isolate's 128 MB, and of several requests at once.
 */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** `GET /v2` */
export function getServer(): Response {
  return Response.json(serverMetadata());
}

/** `GET /v2/health/live`: this isolate answers. */
export function getLive(): Response {
  return Response.json({ live: true });
}

/** `GET /v2/health/ready`: models can be looked up. The specification calls its one field `live`. @throws NearsideError `catalog_unavailable` */
export async function getReady(context: Context): Promise<Response> {
  await context.isolate.catalog.get(context);
  return Response.json({ live: true, ready: true });
}

/** `GET /v2/models/{m}[/versions/{v}]` */
export async function getModel(context: Context, target: Target): Promise<Response> {
  const catalog = await context.isolate.catalog.get(context);
  const manifest = describedVersion(catalog, target);
  const model = catalog.models[manifest.name];
  return Response.json(model === undefined ? {} : modelMetadata(model, manifest));
}

/** `GET /v2/models/{m}[/versions/{v}]/ready`: a request would be served, if need be after loading. */
export async function getModelReady(context: Context, target: Target): Promise<Response> {
  const catalog = await context.isolate.catalog.get(context);
  const manifest = describedVersion(catalog, target);
  const { name, version } = manifest;
  if (!context.isolate.host.fits(manifest)) {
    throw new NearsideError("model_too_large", `"${name}" does not fit an edge isolate.`);
  }
  if (context.isolate.host.isFailing(name, version, context.now())) {
    throw new NearsideError("model_unavailable", `Loading "${name}" has just failed.`, {
      retryAfterSeconds: 1,
    });
  }
  return Response.json({ name, ready: true });
}

/** `POST /v2/models/{m}[/versions/{v}]/infer` */
export function postInfer(context: Context, target: Target, request: Request): Promise<Response> {
  return answer(context, target, request, {
    async read() {
      const type = mediaType(request.headers.get("content-type"));
      if (type.essence !== "" && !isJson(type)) {
        throw new NearsideError("unsupported_media_type", "Send application/json.", {
          field: "content-type",
        });
      }
      if (request.headers.has("inference-header-content-length")) {
        throw new NearsideError(
          "invalid_request",
          "This server does not offer the binary tensor extension.",
          {
            field: "inference-header-content-length",
          },
        );
      }
      return readBody(request, MAX_BODY_BYTES);
    },
    decode: (body, manifest) => decodeInferRequest(decodeJson(body), manifest),
    run: ({ session }, { feeds, outputs }) => session.run(feeds, outputs),
    encode: (tensors, { id, outputs }, manifest) =>
      new Response(encodeInferResponse(manifest, id, outputs, tensors), {
        headers: { "content-type": "application/json" },
      }),
    answerOf: (tensors) => ({ form: "tensors", tensors }),
    units: (_, { feeds }) => ({ elements: elementsOf(feeds) }),
  });
}

function elementsOf(tensors: Readonly<Record<string, Tensor>>): number {
  return Object.values(tensors).reduce((sum, { data }) => sum + data.length, 0);
}
