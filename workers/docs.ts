import about from "../.nearside/docs/docs.json";
import pageCss from "../.nearside/docs/page.css.gz.bin";
import pageJs from "../.nearside/docs/page.js.gz.bin";
import licences from "../.nearside/docs/swagger-ui-bundle.js.LICENSE.txt.gz.bin";
import swaggerCss from "../.nearside/docs/swagger-ui.css.gz.bin";
import swaggerJs from "../.nearside/docs/swagger-ui.js.gz.bin";
import type { DocsFiles } from "../src/docs/serve.ts";

/** The files of the pages /docs; nothing of them is decompressed before somebody asks. */
export const DOCS: DocsFiles = {
  version: about.version,
  files: {
    "page.css": pageCss,
    "page.js": pageJs,
    "swagger-ui-bundle.js.LICENSE.txt": licences,
    "swagger-ui.css": swaggerCss,
    "swagger-ui.js": swaggerJs,
  },
};
