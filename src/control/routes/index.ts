import type { DocsPage } from "../../docs/page.ts";
import { getDocs, getDocsFile } from "../../docs/serve.ts";
import { documentOnce } from "../../protocol/openapi/serve.ts";
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

const DOCS_PAGE: DocsPage = {
  title: "Nearside: the control plane",
  introduction: [
    "What operators change: models, labels, flags, pools, rollouts, prices, accounts and keys.",
    "Every change says what it changes (If-Match, or If-None-Match: *), can be tried with dry-run=true, and is in the audit log. Show the admin token with “Authorize”.",
  ],
};

const openApi = documentOnce(() => openApiDocument(ROUTES));

/** Everything that the control plane answers: the router and the OpenAPI document are made of it. */
export const ROUTES: readonly Route[] = [
  read({
    path: "/",
    summary: "Says what this is.",
    answers: "Where to go on.",
    isOpen: true,
    errors: [],
    handle: () =>
      Response.json({
        name: "nearside-control",
        openapi: "/openapi.json",
        docs: "/docs",
        models: "/v1/models",
      }),
  }),
  read({
    path: "/openapi.json",
    summary: "Describes this API.",
    answers: "This document.",
    isOpen: true,
    errors: [],
    handle: (_, { request }) => openApi(request),
  }),
  read({
    path: "/docs",
    summary: "Shows this document to people.",
    answers: "The page.",
    mediaType: "text/html",
    isOpen: true,
    errors: [],
    handle: ({ docs }, { request }) => getDocs(request, docs, DOCS_PAGE),
  }),
  read({
    path: "/docs/:release/:file",
    summary: "A file of that page.",
    answers: "It never changes.",
    mediaType: "*/*",
    isOpen: true,
    errors: ["route_not_found"],
    handle: ({ docs }, { request, params: { release = "", file = "" } }) =>
      getDocsFile(request, docs, { release, file }),
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
