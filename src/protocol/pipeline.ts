import { Meter } from "../billing/meter.ts";
import type { Manifest } from "../catalog/manifest.ts";
import type { Context } from "../context.ts";
import { NearsideError } from "../errors.ts";
import { callerOf } from "../routing/caller.ts";
import { type Target, chooseVersion } from "../routing/choose.ts";
import type { Work } from "../routing/shadow.ts";
import type { Start } from "../runtime/host.ts";
import { WIRE_FORMS } from "./problem.ts";

/** What a protocol adds to a request's way: how it reads the request, and how it writes the answer. */
export interface Exchange<Input, Output> extends Work<Input, Output> {
  /** The body, whole, once. It is kept beside the answer only while a shadow waits for its turn. */
  read(manifest: Manifest): Promise<Uint8Array<ArrayBuffer>>;
  encode(output: Output, input: Input, manifest: Manifest): Response;
}

/** The way of every inference request, whatever its protocol. */
export async function answer<Input, Output>(
  context: Context,
  target: Target,
  request: Request,
  exchange: Exchange<Input, Output>,
): Promise<Response> {
  const { isolate, timing } = context;
  const catalog = await timing.measure("catalog", () => isolate.catalog.get(context));
  const caller = callerOf(request, {
    model: target.model,
    requestId: context.requestId,
    adminToken: isolate.adminToken,
  });
  const choice = await chooseVersion(catalog, target, caller, isolate.flags.of(catalog));
  if (choice.fault !== undefined) isolate.flags.countFallback(choice.fault);
  const { manifest } = choice;
  const meter = new Meter(context, { ...choice, catalog: catalog.number });
  try {
    const body = await timing.measure("decode", () => exchange.read(manifest));
    const input = timing.measureSync("decode", () => exchange.decode(body, manifest));
    meter.inputReady();

    const asked = context.now();
    let start: Start = "warm";
    const output = await isolate.host.use(manifest, context, (model, how) => {
      start = how;
      meter.modelReady(how);
      if (how !== "warm") timing.add("load", context.now() - asked);
      return timing.measureSync("infer", () => exchange.run(model, input));
    });
    const response = timing.measureSync("encode", () => exchange.encode(output, input, manifest));

    response.headers.set("nearside-model", manifest.name);
    response.headers.set("nearside-version", String(manifest.version));
    response.headers.set("nearside-start", start);
    response.headers.set("nearside-catalog", String(catalog.number));
    response.headers.set("nearside-reason", choice.reason);
    if (choice.flag !== undefined) response.headers.set("nearside-flag", choice.flag);
    if (choice.variant !== undefined) response.headers.set("nearside-variant", choice.variant);

    const units = exchange.units(output, input);
    meter.end({ outcome: "ok", status: response.status, units });
    if (choice.shadow !== undefined) {
      isolate.shadows.offer(context, choice.shadow, {
        manifest,
        catalog: catalog.number,
        body,
        work: exchange,
        answer: exchange.answerOf(output),
        units,
      });
    }
    return response;
  } catch (error) {
    const code = error instanceof NearsideError ? error.code : "internal";
    meter.end({ outcome: code, status: WIRE_FORMS[code].status, units: {} });
    throw error;
  }
}
