import type { Manifest } from "../../src/catalog/manifest.ts";

export const SHIPPED = ["iris", "guesslang", "minilm"] as const;

/** What a manifest needs beside the files. */
export interface Shipped extends Pick<Manifest, "task" | "limits" | "inputs" | "outputs"> {
  /** Their names. */
  readonly assets: readonly string[];
}

export const modelFile = (name: string): string => `shipped-${name}.onnx`;
export const assetFile = (name: string, asset: string): string => `shipped-${name}.${asset}`;
export const sourceFile = (name: string): string => `shipped-${name}.json`;
