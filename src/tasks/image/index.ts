export type { RgbaImage } from "./codec.ts";
export { decodeImage } from "./decode.ts";
export type { Orientation } from "./exif.ts";
export { checkPixels, type ImageFormat, type ImageHeader, readImageHeader } from "./header.ts";
export {
  IMAGE_MEDIA_TYPES,
  imageInputs,
  pixelsOf,
  type RequestImage,
  type RequestImages,
} from "./inputs.ts";
export { resizeBilinear } from "./resize.ts";
