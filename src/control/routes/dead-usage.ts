import * as v from "valibot";

import { tellAudit } from "../accounts/audited.ts";
import { type FiledUsage, listDead } from "../dead-usage.ts";
import { LIMIT } from "../query.ts";
import { change, read } from "../route.ts";
import { countUsage } from "../usage-queue.ts";

const PATH = "/v1/usage/dead";

/** A request to the bucket for each, within what one call may make. */
const MOST_AT_ONCE = 100;

const Day = v.pipe(v.string(), v.isoDate("must be a day: 2026-11-24"));
const ReplayBody = v.optional(v.strictObject({ day: v.exactOptional(Day) }), {});

/** Usage that could not be counted, which an operator looks at. */
export const deadUsageRoutes = [
  read({
    path: PATH,
    summary: "Tells which usage could not be counted, and why.",
    answers: "The oldest messages, and whether these are all.",
    query: v.strictObject({ day: v.optional(Day), limit: LIMIT }),
    errors: [],
    async handle({ deadUsage }, { query: { day, limit } }) {
      const { files, isWhole } = await listDead(deadUsage, { day, limit });
      return Response.json({ dead: files.map(({ dead }) => dead), isWhole });
    },
  }),
  change({
    method: "POST",
    path: `${PATH}/replay`,
    summary: `Counts usage again that could not be counted, ${MOST_AT_ONCE} at once. Send If-Match: *.`,
    answers: "How many were counted, and those that still can't be.",
    body: ReplayBody,
    errors: [],
    async handle(context, call) {
      const { dryRun, body } = call;
      const { files, isWhole } = await listDead(context.deadUsage, {
        ...body,
        limit: MOST_AT_ONCE,
      });
      if (dryRun) return Response.json({ replayed: files.length, left: [], isWhole, dryRun });
      const messages = files.map(({ dead: { id, body: event } }) => ({ id, body: event }));
      const counted = await countUsage(messages, context);
      const done: FiledUsage[] = [];
      const left: { id: string; reason: string }[] = [];
      for (const [index, file] of files.entries()) {
        const verdict = counted[index];
        if (verdict?.kind === "counted") done.push(file);
        else
          left.push({
            id: file.dead.id,
            reason: verdict?.kind === "never" ? verdict.reason : "later",
          });
      }
      if (done.length > 0) {
        await context.deadUsage.delete(done.map(({ key }) => key));
        await tellAudit(context, call, {
          action: "usage.replay",
          target: "usage/dead",
          before: null,
          after: { ...body, replayed: done.length },
        });
      }
      return Response.json({ replayed: done.length, left, isWhole });
    },
  }),
];
