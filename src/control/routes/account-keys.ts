import * as v from "valibot";

import {
  type KeyRecord,
  OriginPattern,
  SCOPES,
  issueKey,
  keyState,
  rotateKey,
} from "../../accounts/key-record.ts";
import { ModelName } from "../../catalog/manifest.ts";
import { NearsideError } from "../../errors.ts";
import { tellAudit } from "../accounts/audited.ts";
import { untilUndisturbed } from "../undisturbed.ts";
import { NOT_FOUND, accountIn } from "../accounts/find-account.ts";
import { changeKey, checkKey, keyIn, optionsOf } from "../accounts/key-changes.ts";
import { etagOf } from "../precondition.ts";
import { change, entity, read } from "../route.ts";
import { ACCOUNT } from "./accounts.ts";

const KEYS = `${ACCOUNT}/keys`;
const KEY = `${KEYS}/:key`;
/** Longer than anybody needs to bring a new key to where it is used. */
const MAX_OVERLAP_SECONDS = 30 * 86_400;

const KeyBody = v.strictObject({
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  kind: v.optional(v.picklist(["live", "test"]), "live"),
  scopes: v.optional(v.pipe(v.array(v.picklist(SCOPES)), v.minLength(1)), ["predict", "models"]),
  models: v.exactOptional(v.array(ModelName)),
  origins: v.exactOptional(v.array(OriginPattern)),
  /** Milliseconds since the epoch. */
  expiresAt: v.exactOptional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
});

const RotateBody = v.strictObject({
  overlapSeconds: v.pipe(
    v.number(),
    v.safeInteger(),
    v.minValue(0),
    v.maxValue(MAX_OVERLAP_SECONDS),
  ),
});

/** A key as it is shown; the secret itself is in one answer alone, and stored nowhere. */
export const accountKeyRoutes = [
  read({
    path: KEYS,
    summary: "Lists the keys of an account, without their secrets.",
    answers: "The keys, oldest first.",
    errors: [NOT_FOUND],
    async handle(context, { params }) {
      const { books } = await accountIn(context, params);
      return entity(await books.keys());
    },
  }),
  read({
    path: KEY,
    summary: "Gives one key, without its secret.",
    answers: "The key.",
    errors: [NOT_FOUND],
    async handle(context, { params }) {
      const { books } = await accountIn(context, params);
      return entity(keyIn(await books.keys(), params));
    },
  }),
  change({
    method: "POST",
    path: KEYS,
    status: 201,
    summary: "Makes a key. If-None-Match: * for whatever keys there are, or the list's ETag.",
    answers: "The key, with its secret: this once.",
    body: KeyBody,
    errors: [NOT_FOUND, "invalid_change"],
    async handle(context, call) {
      const { account, books } = await accountIn(context, call.params);
      const { body, precondition, dryRun } = call;
      const now = context.now();
      if (body.expiresAt !== undefined && body.expiresAt <= now) {
        throw new NearsideError("invalid_change", "expiresAt is in the past.", {
          field: "expiresAt",
        });
      }
      const { key, hash, record } = await issueKey({ ...body, account: account.id }, now);
      await untilUndisturbed("list of keys", async () => {
        const seen = await books.keys();
        // A new key is always absent.
        if (precondition.kind !== "absent") await checkKey(precondition, "list of keys", [seen]);
        return dryRun || (await books.putKeys(seen, { added: { hash, record } })) || undefined;
      });
      if (dryRun) return dry(record);
      await tellAudit(context, call, {
        action: "key.create",
        target: `accounts/${account.id}/keys/${record.id}`,
        before: null,
        after: record,
      });
      return issued(record, key);
    },
  }),
  change({
    method: "POST",
    path: `${KEY}/rotate`,
    status: 201,
    summary: "Makes a key that takes another one's place; both work for a while.",
    answers: "The new key, with its secret: this once.",
    body: RotateBody,
    errors: [NOT_FOUND, "invalid_change"],
    async handle(context, call) {
      const { account, books } = await accountIn(context, call.params);
      const now = context.now();
      const made = await changeKey(books, call, async (old) => {
        if (keyState(old, now) !== "active" || old.replacedBy !== undefined) {
          throw new NearsideError(
            "invalid_change",
            `The key ${old.id} is ${old.replacedBy === undefined ? keyState(old, now) : "replaced"}: make a new one.`,
            { field: "key" },
          );
        }
        const added = await issueKey({ ...optionsOf(old), account: account.id }, now);
        const overlapMs = call.body.overlapSeconds * 1_000;
        const changed = rotateKey(old, added.record.id, overlapMs, now);
        return { old, changed, added };
      });
      const { old, changed, added } = made;
      if (call.dryRun) return dry(added.record);
      await tellAudit(context, call, {
        action: "key.rotate",
        target: `accounts/${account.id}/keys/${old.id}`,
        before: old,
        after: changed,
        details: { replacedBy: added.record },
      });
      return issued(added.record, added.key);
    },
  }),
  change({
    method: "DELETE",
    path: KEY,
    summary: "Revokes a key. It stays in the list.",
    answers: "The key.",
    errors: [NOT_FOUND],
    async handle(context, call) {
      const { account, books } = await accountIn(context, call.params);
      const { old, changed } = await changeKey(books, call, async (known) => ({
        old: known,
        changed: { ...known, revokedAt: known.revokedAt ?? context.now() },
      }));
      if (call.dryRun) return dry(changed);
      if (old.revokedAt === undefined) {
        await tellAudit(context, call, {
          action: "key.revoke",
          target: `accounts/${account.id}/keys/${changed.id}`,
          before: old,
          after: changed,
        });
      }
      return Response.json(changed, { headers: { etag: await etagOf(changed) } });
    },
  }),
];

async function issued(record: KeyRecord, key: string): Promise<Response> {
  const headers = {
    etag: await etagOf(record),
    location: `/v1/accounts/${record.account}/keys/${record.id}`,
  };
  return Response.json({ ...record, key }, { status: 201, headers });
}

const dry = (record: KeyRecord): Response => Response.json({ ...record, dryRun: true });
