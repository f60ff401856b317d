import type { CatalogSource } from "../../catalog/catalog.ts";
import { STABLE } from "../../catalog/catalog.ts";
import { readCatalogSource } from "../../catalog/changes.ts";
import type { RolloutStatus } from "../../rollout/view.ts";
import type { ControlContext } from "../context.ts";
import { modelIn } from "../models.ts";
import { read } from "../route.ts";

interface ModelSummary {
  readonly name: string;
  readonly stable: number | null;
  readonly versions: readonly VersionSummary[];
  readonly off: boolean;
  /** The state of its flag; null when it has none. */
  readonly flag: "ENABLED" | "DISABLED" | null;
  /** The running rollout's, else the latest one's; null when there was none. */
  readonly rollout: RolloutStatus | null;
}

interface VersionSummary {
  readonly version: number;
  readonly labels: readonly string[];
  readonly off: boolean;
}

export const modelRoutes = [
  read({
    path: "/v1/models",
    summary: "Lists the models: versions, labels, switches, flags, rollouts.",
    answers: "The models, by name.",
    errors: [],
    async handle(context) {
      const { source } = await readCatalogSource(context.store.bucket);
      const names = Object.keys(source.models).toSorted();
      return Response.json(
        await Promise.all(names.map((name) => summaryOf(context, source, name))),
      );
    },
  }),
  read({
    path: "/v1/models/:model",
    summary: "Tells of one model.",
    answers: "The model.",
    errors: ["model_not_found"],
    async handle(context, { params: { model = "" } }) {
      const { source } = await readCatalogSource(context.store.bucket);
      return Response.json(await summaryOf(context, source, model));
    },
  }),
];

async function summaryOf(
  { rolloutsOf }: ControlContext,
  source: CatalogSource,
  name: string,
): Promise<ModelSummary> {
  const { versions, labels, off = false, offVersions = [] } = modelIn(source, name);
  const rollout = await rolloutsOf(name).current();
  const flags = source.flags?.flags ?? {};
  return {
    name,
    stable: labels[STABLE] ?? null,
    versions: versions.map((version) => ({
      version,
      labels: Object.keys(labels).filter((label) => labels[label] === version),
      off: offVersions.includes(version),
    })),
    off,
    flag: (Object.hasOwn(flags, name) && flags[name]?.state) || null,
    rollout: rollout?.status ?? null,
  };
}
