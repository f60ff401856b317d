import { beforeAll, describe, expect, it } from "vitest";

import { undocumented } from "../../../support/documented.ts";
import { computing, fakeOrigin } from "../../../support/fake-origin.ts";
import { NANO_PER_DOLLAR } from "../../../../src/billing/money.ts";
import { openEdge, PATH, putPaidModels } from "../../../support/paid-edge.ts";
import { payerOf } from "../../../support/payer.ts";

beforeAll(putPaidModels);

describe("answers that cost something", () => {
  it("have the headers that the OpenAPI document says, first and again, from here and from a pool", async () => {
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const origin = fakeOrigin(
      computing(({ x }) => ({
        y: x ?? { datatype: "FP32", shape: [0], data: new Float32Array() },
      })),
    );
    const edge = await openEdge(payer, undefined, { ORIGIN: origin.binding });
    const differences = undocumented(await (await edge.send("/openapi.json")).json());
    const once = { "idempotency-key": "order-1" };
    const answers = [await edge.ask(undefined, once), await edge.ask(undefined, once)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers[0]?.headers.has("nearside-receipt")).toBe(true);
    expect(answers[1]?.headers.get("idempotent-replayed")).toBe("true");
    for (const answer of answers) expect(await differences("POST", PATH, answer)).toEqual([]);
    const far = "/v2/models/far/infer";
    expect(await differences("POST", far, await edge.ask(undefined, {}, far))).toEqual([]);
    const refused = await edge.ask("{", once);
    expect(refused.status).toBe(422);
    expect(await differences("POST", PATH, refused)).toEqual([]);
  });

  it("are refused as it says where there is no credit", async () => {
    const edge = await openEdge(await payerOf());
    const differences = undocumented(await (await edge.send("/openapi.json")).json());
    const answer = await edge.ask();
    expect(answer.status).toBe(402);
    expect(await differences("POST", PATH, answer)).toEqual([]);
  });
});
