import { openApiDocument } from "../openapi.ts";
import { type Route, read } from "../route.ts";
import { accountBooksRoutes } from "./account-books.ts";
import { accountKeyRoutes } from "./account-keys.ts";
import { accountRoutes } from "./accounts.ts";
import { auditRoutes } from "./audit.ts";
import { catalogRoutes } from "./catalogs.ts";
import { deadUsageRoutes } from "./dead-usage.ts";
import { evaluatorRoutes } from "./evaluators.ts";
import { flagRoutes } from "./flags.ts";
import { labelRoutes } from "./labels.ts";
import { modelRoutes } from "./models.ts";
import { poolRoutes } from "./pools.ts";
import { priceRoutes } from "./prices.ts";
import { rolloutRoutes } from "./rollouts.ts";
import { switchRoutes } from "./switches.ts";

/** Everything that the control plane answers: the router and the OpenAPI document are made of it. */
export const ROUTES: readonly Route[] = [
  read({
    path: "/",
    summary: "Says what this is.",
    answers: "Where to go on.",
    isOpen: true,
    errors: [],
    handle: () =>
      Response.json({ name: "nearside-control", openapi: "/openapi.json", models: "/v1/models" }),
  }),
  read({
    path: "/openapi.json",
    summary: "Describes this API.",
    answers: "This document.",
    isOpen: true,
    errors: [],
    handle: () => Response.json(openApiDocument(ROUTES)),
  }),
  ...modelRoutes,
  ...labelRoutes,
  ...switchRoutes,
  ...flagRoutes,
  ...evaluatorRoutes,
  ...poolRoutes,
  ...catalogRoutes,
  ...priceRoutes,
  ...accountRoutes,
  ...accountKeyRoutes,
  ...accountBooksRoutes,
  ...deadUsageRoutes,
  ...auditRoutes,
  ...rolloutRoutes,
];
