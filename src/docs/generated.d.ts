/** Made by `npm run build:runtime` from the installed swagger-ui-dist. */
declare module "*/.nearside/docs/docs.json" {
  const docs: { readonly version: string };
  export default docs;
}

declare module "*.bin" {
  const bytes: ArrayBuffer;
  export default bytes;
}
