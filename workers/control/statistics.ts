import { WorkerEntrypoint } from "cloudflare:workers";

import type { StatisticsService, VersionCounts } from "../../src/telemetry/statistics.ts";
import type { Env } from "./env.ts";

/** What the edge asks of the models' counts, by a service binding: nobody else can call it. */
export class Statistics extends WorkerEntrypoint<Env> implements StatisticsService {
  async counts(models: readonly string[]): Promise<Record<string, readonly VersionCounts[]>> {
    const counts = await Promise.all(
      models.map(async (model): Promise<[string, readonly VersionCounts[]]> => [
        model,
        await this.env.MODEL_ROLLOUTS.getByName(model).counts(),
      ]),
    );
    return Object.fromEntries(counts);
  }
}
