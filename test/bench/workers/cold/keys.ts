// Keys of the bench's own bucket: whole files, as somebody without Nearside would have them.

export function wholeModelKey(model: string): string {
  return `whole/${model}.onnx`;
}

export function assetKey(model: string, asset: string): string {
  return `whole/${model}/${asset}`;
}

export function snapshotKey(model: string): string {
  return `whole/${model}.snapshot`;
}
