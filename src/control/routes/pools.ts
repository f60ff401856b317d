import { type CatalogSource, OriginRoute, PoolName } from "../../catalog/catalog.ts";
import { readCatalogSource } from "../../catalog/changes.ts";
import { NearsideError } from "../../errors.ts";
import { OriginPool } from "../../origin/pool.ts";
import { applyEdit, type Edit } from "../edit.ts";
import { check } from "../input.ts";
import { modelIn, withModel } from "../models.ts";
import { change, entity, read } from "../route.ts";

const POOL = "/v1/pools/:pool";
const ROUTE = "/v1/models/:model/origin";

/** Origin pools, and which model's requests go to which. */
export const poolRoutes = [
  read({
    path: "/v1/pools",
    summary: "Lists the origin pools: endpoints, protocols, limits, and the models that go there.",
    answers: "The pools, by name.",
    errors: [],
    async handle({ store }) {
      const { source } = await readCatalogSource(store.bucket);
      const pools = Object.entries(source.pools ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
      return Response.json(
        pools.map(([name, pool]) => ({ name, models: modelsOf(source, name), ...pool })),
      );
    },
  }),
  read({
    path: POOL,
    summary: "Gives one origin pool.",
    answers: "The pool.",
    errors: ["origin_pool_not_found"],
    async handle({ store }, { params: { pool = "" } }) {
      const { source } = await readCatalogSource(store.bucket);
      const found = poolIn(source, pool);
      if (found === undefined) throw poolNotFound(pool, source);
      return entity(found);
    },
  }),
  change({
    method: "PUT",
    path: POOL,
    summary: "Sets an origin pool, or makes it.",
    answers: "What has changed in the catalog.",
    body: OriginPool,
    errors: ["invalid_change"],
    handle(context, call) {
      const { pool = "" } = call.params;
      check(PoolName, pool, "pool");
      return applyEdit(context, call, {
        ...poolEdit(pool, "pool.put"),
        sentence: `the pool ${pool} is set`,
        write: (source) => ({ ...source, pools: { ...source.pools, [pool]: call.body } }),
      });
    },
  }),
  change({
    method: "DELETE",
    path: POOL,
    summary: "Removes an origin pool that no model goes to.",
    answers: "What has changed in the catalog.",
    errors: ["origin_pool_not_found", "invalid_change"],
    handle(context, call) {
      const { pool = "" } = call.params;
      return applyEdit(context, call, {
        ...poolEdit(pool, "pool.delete"),
        sentence: `the pool ${pool} is removed`,
        write: (source) => {
          const { [pool]: _, ...pools } = source.pools ?? {};
          return { ...source, pools };
        },
        missing: () => poolNotFound(pool),
      });
    },
  }),
  read({
    path: ROUTE,
    summary: "Tells which origin pool a model's requests go to, where the edge does not answer.",
    answers: "The route.",
    errors: ["model_not_found", "origin_route_not_found"],
    async handle({ store }, { params: { model = "" } }) {
      const { source } = await readCatalogSource(store.bucket);
      const { origin } = modelIn(source, model);
      if (origin === undefined) throw routeNotFound(model);
      return entity(origin);
    },
  }),
  change({
    method: "PUT",
    path: ROUTE,
    summary: "Sets which origin pool a model's requests go to, where the edge does not answer.",
    answers: "What has changed in the catalog.",
    body: OriginRoute,
    errors: ["model_not_found", "invalid_change"],
    handle(context, call) {
      const { model = "" } = call.params;
      return applyEdit(context, call, {
        ...routeEdit(model, "origin.put"),
        sentence: `${model} goes to the pool ${call.body.pool}`,
        write: (source) =>
          withModel(source, model, { ...modelIn(source, model), origin: call.body }),
      });
    },
  }),
  change({
    method: "DELETE",
    path: ROUTE,
    summary: "Removes a model's route: only the edge answers.",
    answers: "What has changed in the catalog.",
    errors: ["model_not_found", "origin_route_not_found"],
    handle(context, call) {
      const { model = "" } = call.params;
      return applyEdit(context, call, {
        ...routeEdit(model, "origin.delete"),
        sentence: `${model} goes to no pool`,
        write: (source) => {
          const { origin: _, ...rest } = modelIn(source, model);
          return withModel(source, model, rest);
        },
        missing: () => routeNotFound(model),
      });
    },
  }),
];

function poolEdit(pool: string, action: string) {
  return {
    what: `pool "${pool}"`,
    action,
    target: `pools/${pool}`,
    read: (source) => poolIn(source, pool),
  } satisfies Partial<Edit>;
}

function routeEdit(model: string, action: string) {
  return {
    what: `route of "${model}"`,
    action,
    target: `models/${model}/origin`,
    read: (source) => modelIn(source, model).origin,
  } satisfies Partial<Edit>;
}

function poolIn({ pools = {} }: CatalogSource, name: string): OriginPool | undefined {
  return Object.hasOwn(pools, name) ? pools[name] : undefined;
}

function modelsOf({ models }: CatalogSource, pool: string): string[] {
  return Object.keys(models).filter((name) => models[name]?.origin?.pool === pool);
}

function poolNotFound(name: string, { pools = {} }: Partial<CatalogSource> = {}): NearsideError {
  const known = Object.keys(pools).join(", ");
  return new NearsideError(
    "origin_pool_not_found",
    `There is no pool "${name.slice(0, 64)}"${known === "" ? "" : `; there are ${known}`}.`,
    { field: "pool" },
  );
}

function routeNotFound(model: string): NearsideError {
  return new NearsideError(
    "origin_route_not_found",
    `"${model}" goes to no origin pool: only the edge answers for it.`,
    { field: "model" },
  );
}
