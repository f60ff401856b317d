/** Levels of guesslang's weights: as the authors have them, an honestly good build, an honestly worse one. */
export const GUESSLANG_LEVELS = { authors: 256, good: 254, worse: 16 } as const;

export const graphFile = (levels: number): string => `guesslang-${levels}.onnx`;

/** Pieces of real files, as an array of base64. */
export const TEXTS_FILE = "guesslang-texts.json";
