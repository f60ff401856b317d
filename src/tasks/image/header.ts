import { NearsideError } from "../../errors.ts";
import type { Orientation } from "./exif.ts";
import { unsupportedImage } from "./failure.ts";
import { isJpeg, readJpegHeader } from "./jpeg-header.ts";
import { isPng, readPngHeader } from "./png-header.ts";
import { isWebp, readWebpHeader } from "./webp-header.ts";

export type ImageFormat = "jpeg" | "png" | "webp";

/** What a picture says of itself, before it is decoded. */
export interface ImageHeader {
  readonly format: ImageFormat;
  /** As stored, before the orientation is applied. */
  readonly width: number;
  readonly height: number;
  readonly orientation: Orientation;
}

/** What a format's parser finds. */
export type FormatHeader = Omit<ImageHeader, "format">;

/**
 * Reads the size and the orientation of a JPEG, PNG or WebP file, and walks through its structure, so that
 * what is cut off or of a kind that the decoders don't take is refused before anything is decoded.
 *
 * @param field where the picture stands in the request
 * @throws NearsideError `unsupported_image`, `invalid_input` when there are no bytes
 *
 * @example
 * readImageHeader(bytes, "inputs"); // { format: "jpeg", width: 640, height: 480, orientation: 6 }
 */
export function readImageHeader(bytes: Uint8Array, field: string): ImageHeader {
  if (bytes.length === 0) {
    throw new NearsideError("invalid_input", `"${field}" holds no image.`, { field });
  }
  const header = readFormat(bytes, field);
  if (header.width > 0 && header.height > 0) return header;
  throw unsupportedImage("has no size in its header", field);
}

function readFormat(bytes: Uint8Array, field: string): ImageHeader {
  if (isJpeg(bytes)) return { format: "jpeg", ...readJpegHeader(bytes, field) };
  if (isPng(bytes)) return { format: "png", ...readPngHeader(bytes, field) };
  if (isWebp(bytes)) return { format: "webp", ...readWebpHeader(bytes, field) };
  throw unsupportedImage("is neither JPEG nor PNG nor WebP", field);
}

/**
 * To be called before a picture is decoded, which takes memory for every pixel that the header claims.
 *
 * @throws NearsideError `image_too_large`
 */
export function checkPixels(
  { width, height }: Pick<ImageHeader, "width" | "height">,
  maxPixels: number,
  field: string,
): void {
  if (width * height <= maxPixels) return;
  throw new NearsideError(
    "image_too_large",
    `The image has ${width} × ${height} pixels; this model takes ${maxPixels} pixels at most. Send it smaller.`,
    { field },
  );
}
