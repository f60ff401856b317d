#!/usr/bin/env node
// `npx nearside`: the same bootstrap as the npm scripts, and the folder in which it was typed.
process.env.NEARSIDE_TYPED_IN = process.cwd();
process.argv.splice(2, 0, "nearside");
await import("./bootstrap.mjs");
