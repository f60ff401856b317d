import { checkBatch, invalidInput, kindOf } from "../inputs.ts";
import type { TaskRequest } from "../task.ts";
import { unsupportedImage } from "./failure.ts";
import { checkPixels, type ImageFormat, type ImageHeader, readImageHeader } from "./header.ts";

/** Media types that a raw picture may have: one that names a format must name the one that its bytes are in. */
export const IMAGE_MEDIA_TYPES = [
  "image/jpeg",
  "image/png",
  "image/webp",
  "application/octet-stream",
] as const;

/** A picture of a request, not yet decoded. */
export interface RequestImage {
  readonly bytes: Uint8Array;
  readonly header: ImageHeader;
  /** Where it stands in the request. */
  readonly field: string;
}

export interface RequestImages {
  readonly images: readonly RequestImage[];
  /** One came, not an array: the answer is one result, not an array. */
  readonly single: boolean;
}

/**
 * The pictures of a request: a file as it is, or in JSON as base64 or a `data:` URL, one or an array.
 * None is decoded, but all headers are read and all pixels counted. What says of which format it is must be in it;
 * base64 alone and `application/octet-stream` say nothing.
 *
 * @throws NearsideError `invalid_input`, `batch_too_large`, `unsupported_image`, `image_too_large`
 */
export function imageInputs(
  request: TaskRequest,
  limits: { readonly maxBatch: number; readonly maxPixels: number },
): RequestImages {
  const requestImage = (bytes: Uint8Array, mediaType: string, field: string): RequestImage => {
    const header = readImageHeader(bytes, field);
    checkFormat(header.format, mediaType, field);
    checkPixels(header, limits.maxPixels, field);
    return { bytes, header, field };
  };
  const fromJson = (input: unknown, field: string): RequestImage => {
    const { bytes, mediaType } = base64Image(input, field);
    return requestImage(bytes, mediaType, field);
  };
  if (request.kind === "raw") {
    return { images: [requestImage(request.bytes, request.mediaType, "inputs")], single: true };
  }
  const { inputs } = request;
  if (!Array.isArray(inputs)) {
    return { images: [fromJson(inputs, "inputs")], single: true };
  }
  if (inputs.length === 0) throw invalidInput("inputs", "must hold at least one image");
  checkBatch(inputs.length, limits.maxBatch);
  const images = inputs.map((input: unknown, index) => fromJson(input, `inputs[${index}]`));
  return { images, single: false };
}

/** Pixels of all pictures, as they were sent. */
export function pixelsOf(images: readonly RequestImage[]): number {
  return images.reduce((sum, { header }) => sum + header.width * header.height, 0);
}

/** Types that say nothing of a picture. */
const ANY = new Set(["", "application/octet-stream"]);

const NAMES: Readonly<Record<ImageFormat, string>> = { jpeg: "JPEG", png: "PNG", webp: "WebP" };

function checkFormat(format: ImageFormat, mediaType: string, field: string): void {
  const isRight =
    mediaType === `image/${format}` || (format === "jpeg" && mediaType === "image/jpg");
  if (isRight || ANY.has(mediaType)) return;
  throw unsupportedImage(
    `is ${NAMES[format]}, but was sent as "${mediaType.slice(0, 100)}"`,
    field,
  );
}

/** The media type is that of a `data:` URL; of base64 alone there is none. */
function base64Image(
  input: unknown,
  field: string,
): { readonly bytes: Uint8Array; readonly mediaType: string } {
  if (typeof input !== "string") {
    throw invalidInput(field, `must be an image in base64 or a data: URL, not ${kindOf(input)}`);
  }
  const comma = input.startsWith("data:") ? input.indexOf(",") : -1;
  if (input.startsWith("data:") && !/;base64$/i.test(input.slice(0, Math.max(comma, 0)))) {
    throw invalidInput(field, "is a data: URL that is not in base64");
  }
  if (/^https?:/i.test(input)) {
    throw invalidInput(field, "is an address; nothing is fetched here, so send the image itself");
  }
  let binary: string;
  try {
    binary = atob(comma < 0 ? input : input.slice(comma + 1));
  } catch {
    throw invalidInput(field, "is not base64; send an image in base64");
  }
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  const mediaType = comma < 0 ? "" : (/^data:([^;,]*)/.exec(input)?.[1] ?? "");
  return { bytes, mediaType: mediaType.trim().toLowerCase() };
}
