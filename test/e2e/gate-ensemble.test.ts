import { beforeAll, describe, expect, it } from "vitest";

import { bundleWorkers, startLocalStack } from "../../src/cli/local-stack.ts";
import { publishThroughGate } from "../../src/publish/gate/gate.ts";
import { prepareRuntime } from "../../src/publish/runtime.ts";
import { useModelFolders } from "../publish/support.ts";
import { openTarget } from "../publish/target.ts";

/** The second member is not what its fixtures expect, where that is asked for. */
const BUILD = `
  return {
    members: {
      first: { onnx: graphs.linearGraph(64, 32) },
      second: { onnx: graphs.outerProductGraph() },
    },
    assets: {},
  };
`;

const modelFolder = useModelFolders(BUILD);

beforeAll(async () => {
  await prepareRuntime();
  await bundleWorkers();
});

const tensor = (shape: readonly [number, number], value: number) => ({
  datatype: "FP32",
  shape,
  data: Array<number>(shape[0] * shape[1]).fill(value),
});

/** An ensemble whose second member must answer so many in each place. */
async function publish(expected: number) {
  const model = await modelFolder({
    ensemble: { first: { largest: { x: [4, 64] } }, second: { largest: { x: [2_000, 1] } } },
  });
  const common = { name: "one", tolerance: 1e-3 };
  const members = {
    first: [{ ...common, inputs: { x: tensor([1, 64], 1) }, expected: {} }],
    second: [
      { ...common, inputs: { x: tensor([3, 1], 2) }, expected: { y: tensor([3, 3], expected) } },
    ],
  };
  await model.write("fixtures.json", JSON.stringify({ source: "The tests.", members }));
  const { target, state } = openTarget();
  const lines: string[] = [];
  const outcome = await publishThroughGate(
    model.folder,
    target,
    {},
    () => startLocalStack({ edgePort: 0 }),
    (line) => lines.push(line),
  ).catch((error: unknown) => error);
  return { outcome, lines, stored: Object.keys(state().objects) };
}

describe("the publish gate, for an ensemble", () => {
  it("tries each member in real workerd, and reports them together", async () => {
    const { outcome, lines } = await publish(4);
    expect(outcome).toMatchObject({
      manifest: { members: { first: {}, second: {} }, gate: { operators: { Gemm: 1, MatMul: 1 } } },
      report: { comparison: { equality: 1 }, opset: 17, quantization: "none" },
    });
    const { manifest, report } = outcome as {
      manifest: { memory: { heapBytes: number } };
      report: { heapBytes: number };
    };
    expect(report.heapBytes).toBe(manifest.memory.heapBytes);
    expect(lines).toEqual(expect.arrayContaining(["its first:", "its second:"]));
  });

  it("refuses the whole when one member is not what its fixtures expect", async () => {
    const { outcome, stored } = await publish(5);
    expect(outcome).toMatchObject({
      code: "below_threshold",
      failures: [expect.stringMatching(/^second: "one": "y" differs by 1 /)],
    });
    expect(stored).toEqual([]);
  });
});
