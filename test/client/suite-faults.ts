import type { CallOptions } from "../../src/client/index.ts";
import { failure, holds, same } from "./claims.ts";
import {
  answering,
  DONE,
  dripping,
  event,
  refusing,
  scripted,
  silent,
  type Step,
  token,
  unreachable,
} from "./scripted.ts";
import type { ClientCase, World } from "./suite.ts";

const KEY = "nsk_live_somebody";

/** A client on a network that does what the steps say. */
function over({ sdk }: World, ...steps: readonly Step[]) {
  const network = scripted(...steps);
  const options = { baseUrl: "https://edge.test/", fetch: network.fetch };
  const nearside = new sdk.Nearside({ ...options, key: KEY });
  const ask = (more: CallOptions = {}) => nearside.predict("iris", [1], more).withMeta();
  const keys = () => network.sent.map(({ headers }) => headers.get("idempotency-key"));
  return { ...network, nearside, anonymous: new sdk.Nearside(options), ask, keys };
}

/** A network that nothing may reach. */
const unsendable = (): never => {
  throw new Error("It was asked.");
};

const messages = [{ role: "user", content: "Say é." }];

/** What a client does when its network, or its server, fails. */
export const FAULT_CASES: readonly ClientCase[] = [
  {
    title: "asks again after a 503, with the same Idempotency-Key and body",
    async run(world) {
      const { ask, sent, keys } = over(
        world,
        refusing(503, "model_unavailable"),
        answering(["ok"]),
      );
      const { value, meta } = await ask();
      same([value, meta.attempts, sent.length], [["ok"], 2, 2]);
      same([sent[0]?.body, sent[1]?.body], ['{"inputs":[1]}', '{"inputs":[1]}']);
      holds((keys()[0] ?? "").length > 16, `the key is ${keys()[0]}`);
      same(keys()[0], keys()[1]);
      same(sent[0]?.url, "https://edge.test/v1/predict/iris");
    },
  },
  {
    title: "asks again when no answer came, and when it broke off",
    async run(world) {
      const { ask } = over(world, unreachable, dripping(["["], "error"), answering([1]));
      same((await ask()).meta.attempts, 3);
    },
  },
  {
    title: "gives each call a key of its own, and none to whoever pays nothing",
    async run(world) {
      const { ask, anonymous, keys } = over(world, answering([1]));
      await ask();
      await ask();
      await ask({ idempotencyKey: "mine" });
      await ask({ idempotencyKey: false });
      await ask({ retries: 0 });
      await anonymous.predict("iris", [1]);
      const [first, second, ...others] = keys();
      holds(first !== second, "two calls have one key");
      same(others, ["mine", null, null, null]);
    },
  },
  {
    title: "does not ask again where nobody knows whether it would be billed twice",
    async run(world) {
      const { ask, sent } = over(world, unreachable);
      const error = await failure(ask({ idempotencyKey: false }));
      same([error.code, error.status, sent.length], ["network_failed", undefined, 1]);
      holds(error.cause instanceof TypeError, "the cause is gone");
    },
  },
  {
    title: "does not ask again what would be refused again",
    async run(world) {
      for (const [status, code] of [
        [400, "invalid_json"],
        [402, "payment_required"],
        [404, "model_not_found"],
        [422, "invalid_input"],
        [500, "instance_trapped"],
      ] as const) {
        const { ask, sent } = over(world, refusing(status, code));
        const error = await failure(ask());
        same([error.code, error.status, error.field, sent.length], [code, status, "inputs", 1]);
      }
    },
  },
  {
    title: "asks again once the first request with its key has been answered",
    async run(world) {
      const running = refusing(409, "idempotency_running", { "retry-after": "0" });
      const { ask } = over(world, running, answering([1], { "idempotent-replayed": "true" }));
      const { meta } = await ask();
      same([meta.attempts, meta.replayed], [2, true]);
    },
  },
  {
    title: "gives up after its retries, with the last refusal",
    async run(world) {
      const { ask, sent } = over(
        world,
        refusing(502, "origin_failed"),
        refusing(503, "catalog_busy"),
      );
      same((await failure(ask({ retries: 1 }))).code, "catalog_busy");
      same(sent.length, 2);
    },
  },
  {
    title: "does not wait for a Retry-After beyond its own time",
    async run(world) {
      const limited = refusing(429, "rate_limited", { "retry-after": "60" });
      const { ask, sent } = over(world, limited);
      const error = await failure(ask({ timeoutMs: 10_000 }));
      same([error.code, error.retryAfterSeconds, sent.length], ["rate_limited", 60, 1]);
    },
  },
  {
    title: "makes a tenth of its requests again at most, however many fail",
    async run(world) {
      const { nearside, sent } = over(
        world,
        refusing(503, "model_unavailable", { "retry-after": "0" }),
      );
      const calls = Array.from({ length: 100 }, () =>
        failure(nearside.predict("iris", [1], { retries: 1 })),
      );
      await Promise.all(calls);
      holds(sent.length >= 110 && sent.length <= 120, `${sent.length} requests were made`);
    },
  },
  {
    title: "ends in time, whatever the network does, and tells the server its deadline",
    async run(world) {
      const { ask, sent } = over(world, silent);
      const error = await failure(ask({ timeoutMs: 20 }));
      same([error.name, error.code, sent.length], ["TimeoutError", "timeout", 1]);
      const told = Number(sent[0]?.headers.get("nearside-timeout-ms"));
      holds(told >= 1 && told <= 20, `the server was told ${told}`);
    },
  },
  {
    title: "is aborted by its caller, before, during and between requests",
    async run(world) {
      const reason = new Error("The user left.");
      const { ask, sent } = over(world, silent);
      const before = await failure(ask({ signal: AbortSignal.abort(reason) }));
      same([before.name, before.code, before.cause === reason], ["AbortError", "aborted", true]);
      const during = new AbortController();
      const call = failure(ask({ signal: during.signal }));
      during.abort();
      same((await call).code, "aborted");
      holds(sent.length <= 2, `${sent.length} requests were made`);
      const between = new AbortController();
      const again = over(world, () => {
        between.abort();
        return refusing(503, "model_unavailable")(between.signal);
      });
      same((await failure(again.ask({ signal: between.signal }))).code, "aborted");
      same(again.sent.length, 1);
    },
  },
  {
    title: "reads a stream however it is cut: inside characters, lines and CRLFs",
    async run(world) {
      const whole = `: hello\r\n\r\n${token("é").replaceAll("\n", "\r\n")}${token("日本")}${event({
        choices: [{ text: "!", finish_reason: "stop" }],
        usage: { completion_tokens: 3 },
      })}: nearside-cost 120 nano-usd\n: nearside-receipt a.b.c\n\n${DONE}`;
      const bytes = Array.from(new TextEncoder().encode(whole), (byte) => Uint8Array.of(byte));
      const { nearside } = over(world, dripping(bytes));
      const stream = nearside.stream("scribe", { messages });
      const events = [];
      for await (const { text, finishReason, usage } of stream) {
        events.push([text, finishReason, usage]);
      }
      same(events, [
        ["é", undefined, undefined],
        ["日本", undefined, undefined],
        ["!", "stop", { completion_tokens: 3 }],
      ]);
      const { costNano, receipt } = await stream.meta();
      same([costNano, receipt], [120, "a.b.c"]);
    },
  },
  {
    title:
      "asks again for a stream that was refused, not for one that may have begun, and without a key",
    async run(world) {
      const refused = over(world, refusing(503, "origin_overloaded"), dripping([token("a"), DONE]));
      same(await refused.nearside.stream("scribe", { messages }).text(), "a");
      same(refused.keys(), [null, null]);
      same(JSON.parse(refused.sent[0]?.body ?? ""), { messages, model: "scribe", stream: true });
      const lost = over(world, unreachable);
      same(
        (await failure(lost.nearside.stream("scribe", { messages }).text())).code,
        "network_failed",
      );
      same(lost.sent.length, 1);
    },
  },
  {
    title: "tells a stream that broke off, or failed, from one that is over",
    async run(world) {
      const failed = event({ error: { message: "The pool broke off.", code: "origin_failed" } });
      for (const [step, code] of [
        [dripping([token("a")]), "network_failed"],
        [dripping([token("a")], "error"), "network_failed"],
        [dripping([token("a"), failed]), "origin_failed"],
        [dripping(["data: {\n\n"]), "invalid_answer"],
      ] as const) {
        const error = await failure(
          over(world, step).nearside.stream("scribe", { messages }).text(),
        );
        same(error.code, code);
      }
    },
  },
  {
    title: "ends a stream's request when its reader leaves, or is aborted",
    async run(world) {
      let cancelled = 0;
      const waiting = dripping([token("a")], "wait", () => void cancelled++);
      for await (const { text } of over(world, waiting).nearside.stream("scribe", { messages })) {
        same(text, "a");
        break;
      }
      same(cancelled, 1);
      const left = new AbortController();
      const { nearside } = over(world, waiting);
      const stream = nearside.stream("scribe", { messages }, { signal: left.signal });
      const error = await failure(
        (async () => {
          for await (const _ of stream) left.abort();
        })(),
      );
      same([error.code, cancelled], ["aborted", 2]);
    },
  },
  {
    title: "says whom a call is for, where it should run, and what else is asked",
    async run(world) {
      const { nearside, sent } = over(world, answering([]));
      const options = {
        user: "ada",
        placement: "origin",
        headers: { "x-request-id": "r1" },
      } as const;
      const query = { corpus: "docs@stable", top: 3, filter: { lang: "en" } };
      same(await nearside.search("minilm", "near what?", { ...query, ...options }), []);
      const { body, headers } = sent[0] ?? { body: "", headers: new Headers() };
      same(JSON.parse(body), { inputs: "near what?", parameters: query });
      const names = ["authorization", "nearside-user", "nearside-placement", "x-request-id"];
      same(
        names.map((name) => headers.get(name)),
        [`Bearer ${KEY}`, "ada", "origin", "r1"],
      );
    },
  },
  {
    title: "sends each header once, however its name is written, and whoever else sets it",
    async run(world) {
      const { ask, sent, keys } = over(world, refusing(503, "catalog_busy"), answering([1]));
      const headers = { "Idempotency-Key": "order-17", Authorization: "Bearer other" };
      await ask({ headers });
      same(keys(), ["order-17", "order-17"]);
      same(sent[0]?.headers.get("authorization"), "Bearer other");
      same(sent[0]?.headers.get("content-type"), "application/json");
    },
  },
  {
    title: "refuses at once what can't be sent, without asking anybody",
    async run(world) {
      const { nearside, ask, sent } = over(world, answering([1]));
      const nowhere = new world.sdk.Nearside({ baseUrl: "edge.test:8787", fetch: unsendable });
      const circle: unknown[] = [];
      circle.push(circle);
      const noTensor = { shape: [1], data: new ArrayBuffer(4), datatype: "FP32" };
      for (const [call, field] of [
        [ask({ user: "李雷" }), "nearside-user"],
        [ask({ headers: { "no name": "x" } }), "no name"],
        [ask({ headers: { "x-two": "a\nb" } }), "x-two"],
        [nowhere.predict("iris", [1]), "baseUrl"],
        [nowhere.stream("scribe", { messages }).text(), "baseUrl"],
        [nearside.predict("iris", [1n]), "inputs"],
        [nearside.predict("iris", circle), "inputs"],
        [nearside.predict("vad", new Uint8Array(1), { parameters: { a: 1n } }), "inputs"],
        [nearside.infer("iris", { features: noTensor as never }), "inputs.features"],
      ] as const) {
        const error = await failure(call);
        same([error.name, error.code, error.field], ["NearsideError", "invalid_input", field]);
      }
      same(sent.length, 0);
    },
  },
  {
    title: "says a raw body's parameters as JSON would",
    async run(world) {
      const { nearside, sent } = over(world, answering([]));
      const parameters = { a: undefined, text: "é & 2", top: 3, filter: { lang: "en" }, all: true };
      await nearside.predict("vad", new Uint8Array(1), { parameters });
      const query = [...new URL(sent[0]?.url ?? "").searchParams];
      same(query, [
        ["text", "é & 2"],
        ["top", "3"],
        ["filter", '{"lang":"en"}'],
        ["all", "true"],
      ]);
    },
  },
  {
    title: "reads a stream once, and lets one be left of which only the meta was read",
    async run(world) {
      const whole = over(world, dripping([token("a"), DONE])).nearside;
      const stream = whole.stream("scribe", { messages });
      same(await stream.text(), "a");
      const again = await failure(stream.text());
      same([again.code, again.field], ["invalid_input", "stream"]);
      let cancelled = 0;
      const waiting = dripping([token("a")], "wait", () => void cancelled++);
      const { nearside, sent } = over(world, waiting);
      const left = nearside.stream("scribe", { messages });
      same((await left.meta()).attempts, 1);
      await left.cancel();
      await left.cancel();
      same([cancelled, (await failure(left.text())).code], [1, "invalid_input"]);
      const never = nearside.stream("scribe", { messages });
      await never.cancel();
      await failure(never.text());
      same(sent.length, 1);
    },
  },
  {
    title: "takes for a vector, or for matches, only what is one",
    async run(world) {
      const query = { corpus: "docs" };
      for (const json of [{ a: 1 }, ["a", null], [[1], 2], null]) {
        const { nearside } = over(world, answering(json));
        for (const call of [
          nearside.embed("minilm", "x"),
          nearside.embed("minilm", ["x"]),
          nearside.search("minilm", "x", query),
          nearside.search("minilm", ["x"], query),
        ]) {
          same((await failure(call)).code, "invalid_answer");
        }
      }
    },
  },
  {
    title: "does not take a proxy's page for an answer",
    async run(world) {
      const page: Step = () => new Response("<html>", { status: 200 });
      const { ask } = over(world, page);
      same((await failure(ask())).code, "invalid_answer");
      const gone: Step = () => new Response("<html>", { status: 403 });
      const error = await failure(over(world, gone).ask());
      same([error.code, error.status], ["http_error", 403]);
    },
  },
];
