import type { Context } from "../../context.ts";
import { NearsideError } from "../../errors.ts";
import { type Target, describedVersion } from "../../routing/choose.ts";
import type { DurationSum, VersionCounts } from "../../telemetry/statistics.ts";
import { allowedModels, listedModel, versionsOf } from "./listed.ts";

/** `GET /v2/models/stats` @param allowed models of the caller; all when absent */
export async function getAllStatistics(
  context: Context,
  allowed?: readonly string[],
): Promise<Response> {
  const catalog = await context.isolate.catalog.get(context);
  return answer(
    context,
    allowedModels(catalog, allowed).map((name) => ({
      name,
      versions: versionsOf(listedModel(catalog, name)),
    })),
  );
}

/** `GET /v2/models/{m}[/versions/{v}]/stats` */
export async function getModelStatistics(context: Context, target: Target): Promise<Response> {
  const catalog = await context.isolate.catalog.get(context);
  const model = listedModel(catalog, target.model);
  const versions =
    target.version === undefined ? versionsOf(model) : [describedVersion(catalog, target).version];
  return answer(context, [{ name: target.model, versions }]);
}

interface Asked {
  readonly name: string;
  readonly versions: readonly number[];
}

/** One call, to objects that no inference waits for. @throws NearsideError `statistics_unavailable` */
async function answer(
  { isolate: { statistics }, now }: Context,
  asked: readonly Asked[],
): Promise<Response> {
  if (statistics === undefined) {
    throw new NearsideError(
      "statistics_unavailable",
      "The edge counts nothing by itself: the binding STATISTICS names the control plane's entrypoint.",
    );
  }
  const names = asked.map(({ name }) => name);
  const { counts, at } = await statistics.counts(names, now()).catch((cause: unknown) => {
    throw new NearsideError("statistics_unavailable", "The control plane can't be asked now.", {
      retryAfterSeconds: 1,
      cause,
    });
  });
  const stats = asked.flatMap(({ name, versions }) =>
    versions.map((version) => ({
      name,
      version,
      counts: counts[name]?.find((one) => one.version === version),
    })),
  );
  const since = Math.min(...stats.map(({ counts: known }) => known?.first ?? Infinity));
  return Response.json({
    model_stats: stats.map(({ name, version, counts: known }) => modelStat(name, version, known)),
    nearside: {
      scope: "all isolates",
      as_of: new Date(at).toISOString(),
      since: Number.isFinite(since) ? new Date(since).toISOString() : null,
    },
  });
}

const NOTHING: DurationSum = { count: 0, ns: 0 };

/**
 * A version's requests in Triton's form. A Worker's clock stands still while code computes, so what is known of a
 * request is one duration, from its decoded input to its answer: it stands under `success` or `fail`, and under
 * `compute_infer` for those that succeeded. What would need a clock between the phases is 0, and so are the queue
 * and the response cache, which are not there. Events do not tell batch sizes: a request counts as one inference,
 * and `batch_stats` is empty.
 */
function modelStat(name: string, version: number, counts: VersionCounts | undefined): object {
  const { success = NOTHING, fail = NOTHING, last = 0 } = counts ?? {};
  return {
    name,
    version: String(version),
    last_inference: last,
    inference_count: success.count,
    execution_count: success.count,
    inference_stats: {
      success,
      fail,
      queue: NOTHING,
      compute_input: NOTHING,
      compute_infer: success,
      compute_output: NOTHING,
      cache_hit: NOTHING,
      cache_miss: NOTHING,
    },
    batch_stats: [],
  };
}
