import type { Manifest } from "../catalog/manifest.ts";
import type { HostedModel, ModelHost } from "../runtime/host.ts";
import { edgeCosts, type EdgeState, predictedMs } from "./placement.ts";

type Host = Pick<ModelHost<HostedModel>, "hasRoomFor" | "isFailing" | "stats">;

/** What this isolate can say of a request: pure but for what the host holds now. */
export function edgeState(
  host: Host,
  manifest: Manifest,
  request: {
    readonly overLimit: boolean;
    readonly units: Readonly<Record<string, number>>;
    readonly now: number;
  },
): EdgeState {
  const costs = edgeCosts(manifest);
  return {
    overLimit: request.overLimit,
    isFailing: host.isFailing(manifest.name, manifest.version, request.now),
    hasRoom: hasRoom(host, manifest),
    predictedMs: costs && predictedMs(costs, request.units),
    targetMs: costs?.targetMs,
  };
}

/** Whether the model is here, or has room once whoever is idle has left. */
function hasRoom(host: Host, manifest: Manifest): boolean {
  if (host.hasRoomFor(manifest)) return true;
  const { heapBytes, taskBytes } = manifest.memory;
  const { budgetBytes, models } = host.stats();
  const busy = models.filter(({ users, state }) => users > 0 || state === "loading");
  return busy.reduce((sum, { bytes }) => sum + bytes, heapBytes + taskBytes) <= budgetBytes;
}
