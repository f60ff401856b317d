export default {
  async fetch(request) {
    const body: unknown = await request.json();
    return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
  },
} satisfies ExportedHandler;
