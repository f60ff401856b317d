import type { FixtureTensor } from "../../../publish/source.ts";

/** A running edge, as a client sees it. */
export interface Edge {
  readonly edgeUrl: string;
}

/** @throws Error with the answer's words unless it is 200 */
export async function predict<T>(
  { edgeUrl }: Edge,
  model: string,
  body: Uint8Array<ArrayBuffer> | object,
  contentType = "application/json",
  query = "",
): Promise<T> {
  const raw = body instanceof Uint8Array ? body : JSON.stringify(body);
  return answerOf<T>(
    await fetch(`${edgeUrl}/v1/predict/${model}${query}`, {
      method: "POST",
      headers: { "content-type": contentType },
      body: raw,
    }),
  );
}

/** One request of the Open Inference Protocol. @returns the outputs by name */
export async function infer(
  { edgeUrl }: Edge,
  model: string,
  inputs: Readonly<Record<string, FixtureTensor>>,
): Promise<Record<string, FixtureTensor>> {
  const response = await fetch(`${edgeUrl}/v2/models/${model}/infer`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      inputs: Object.entries(inputs).map(([name, tensor]) => ({ name, ...tensor })),
    }),
  });
  const { outputs } = await answerOf<{ outputs: ({ name: string } & FixtureTensor)[] }>(response);
  return Object.fromEntries(outputs.map(({ name, ...tensor }) => [name, tensor]));
}

async function answerOf<T>(response: Response): Promise<T> {
  if (response.ok) return response.json() as Promise<T>;
  throw new Error(`${response.status}: ${await response.text()}`);
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  for (let index = 0; index < a.length; index++) {
    const [x, y] = [a[index] ?? 0, b[index] ?? 0];
    dot += x * y;
    squaresA += x * x;
    squaresB += y * y;
  }
  return dot / Math.sqrt(squaresA * squaresB);
}
