import { dayOf, monthsBefore } from "../periods.ts";
import { HOUR_MONTHS } from "./retention.ts";

/** What a look at all the books found. */
export interface Verification {
  readonly ok: boolean;
  /** What does not add up, in words. */
  readonly problems: readonly string[];
}

/** Every query finds rows only where two ways of counting the same money differ. */
const CHECKS: readonly { readonly what: string; readonly query: string }[] = [
  {
    what: "a balance is not what its journal says",
    query: `
      WITH told AS (
        SELECT account, SUM(debits) AS debits, SUM(credits) AS credits FROM (
          SELECT debit AS account, amount AS debits, 0 AS credits FROM journal
          UNION ALL SELECT credit, 0, amount FROM journal)
        GROUP BY account)
      SELECT COALESCE(t.account, b.account) AS place FROM told t FULL JOIN balances b
        ON t.account = b.account
      WHERE t.debits IS NOT b.debits OR t.credits IS NOT b.credits`,
  },
  {
    what: "debits and credits differ",
    query: `
      SELECT 'all accounts' AS place FROM (
        SELECT SUM(debits) AS debits, SUM(credits) AS credits FROM balances)
      WHERE debits IS NOT credits`,
  },
  {
    what: "a day's sums are not what the journal says",
    query: `
      ${journalBy(10, "0")}
      SELECT COALESCE(j.period, d.period) AS place FROM journaled j FULL JOIN (
        SELECT period, SUM(amount) AS amount, SUM(allowance) AS allowance, SUM(volume) AS volume,
          SUM(repeated) AS repeated FROM days GROUP BY period) d ON j.period = d.period
      WHERE ${differ("j", "d")}`,
  },
  {
    what: "an hour's sums are not what the journal says",
    query: `
      ${journalBy(13, ":since")}
      SELECT COALESCE(j.period, h.period) AS place FROM journaled j FULL JOIN (
        SELECT period, SUM(amount) AS amount, SUM(allowance) AS allowance, SUM(volume) AS volume,
          SUM(repeated) AS repeated FROM hours
          WHERE period >= strftime('%Y-%m-%dT%H', :since / 1000, 'unixepoch') GROUP BY period) h
        ON j.period = h.period
      WHERE ${differ("j", "h")}`,
  },
  {
    what: "a day's events and files are not its sums",
    query: `
      SELECT COALESCE(e.day, d.period) AS place FROM (
        SELECT day, SUM(events) AS requests, SUM(amount) AS amount, SUM(allowance) AS allowance,
          SUM(volume) AS volume, SUM(repeated) AS repeated FROM (
          SELECT day, 1 AS events, amount, allowance, volume, repeated FROM events
          UNION ALL SELECT day, events, amount, allowance, volume, repeated FROM files)
        GROUP BY day) e FULL JOIN (
        SELECT period, SUM(requests) AS requests, SUM(amount) AS amount,
          SUM(allowance) AS allowance, SUM(volume) AS volume, SUM(repeated) AS repeated
        FROM days GROUP BY period) d ON e.day = d.period
      WHERE ${differ("e", "d")} OR e.requests IS NOT d.requests`,
  },
  {
    what: "an hour's units are not those of its events",
    query: `
      WITH told AS (
        SELECT strftime('%Y-%m-%dT%H', at / 1000, 'unixepoch') AS period, model, version,
          events.key AS key, placement, unit.key AS unit, SUM(unit.value) AS count
        FROM events, json_each(events.units) AS unit
        WHERE day >= :month AND day NOT IN (SELECT day FROM files) GROUP BY 1, 2, 3, 4, 5, 6),
      kept AS (
        SELECT period, model, version, hours.key AS key, placement, unit.key AS unit,
          unit.value AS count
        FROM hours, json_each(hours.units) AS unit
        WHERE period >= :month AND substr(period, 1, 10) IN (SELECT day FROM events)
          AND substr(period, 1, 10) NOT IN (SELECT day FROM files))
      SELECT period || ' ' || model AS place FROM (SELECT * FROM told EXCEPT SELECT * FROM kept)
      UNION SELECT period || ' ' || model FROM (SELECT * FROM kept EXCEPT SELECT * FROM told)`,
  },
  {
    what: "a month's units are not those of its events",
    query: `
      SELECT m.month || ' ' || m.scope || ' ' || m.unit AS place FROM month_units m
      WHERE NOT EXISTS (SELECT 1 FROM files f WHERE substr(f.day, 1, 7) = m.month)
        AND m.count IS NOT (
          SELECT COALESCE(SUM(unit.value), 0) FROM events e, json_each(e.units) AS unit
          WHERE substr(e.day, 1, 7) = m.month AND e.scope = m.scope AND unit.key = m.unit
            AND (e.repeated = 0))`,
  },
  {
    what: "what was spent is not what the journal says",
    query: `
      WITH told AS (
        SELECT strftime('%Y-%m-%d', at / 1000, 'unixepoch') AS day,
          SUM(iif(kind = 'usage', amount, -amount)) AS amount
        FROM journal WHERE kind IN ('usage', 'allowance', 'volume', 'repeat') GROUP BY 1)
      SELECT s.period AS place FROM spent s WHERE s.subject = 'account' AND s.amount IS NOT (
        SELECT COALESCE(SUM(t.amount), 0) FROM told t
        WHERE substr(t.day, 1, length(s.period)) = s.period)
      UNION SELECT t.day FROM told t WHERE t.amount <> 0 AND t.day >= :month
        AND NOT EXISTS (SELECT 1 FROM spent s WHERE s.subject = 'account' AND s.period = t.day)`,
  },
  {
    what: "what a lease has paid is not what its events cost",
    query: `
      SELECT l.id AS place FROM leases l LEFT JOIN (
        SELECT lease, SUM(amount) AS amount FROM events GROUP BY lease) e ON e.lease = l.id
      WHERE strftime('%Y-%m-%d', l.granted / 1000, 'unixepoch')
          > (SELECT COALESCE(MAX(day), '') FROM files)
        AND l.drawn <> COALESCE(e.amount, 0)`,
  },
];

/** Metered entries by period, a column for each kind. */
function journalBy(length: 10 | 13, since: string): string {
  const format = length === 10 ? "%Y-%m-%d" : "%Y-%m-%dT%H";
  return `WITH journaled AS (
    SELECT strftime('${format}', at / 1000, 'unixepoch') AS period, ${sumOf("usage", "amount")},
      ${sumOf("allowance", "allowance")}, ${sumOf("volume", "volume")}, ${sumOf("repeat", "repeated")}
    FROM journal WHERE kind IN ('usage', 'allowance', 'volume', 'repeat') AND at >= ${since}
    GROUP BY 1)`;
}

function sumOf(kind: string, name: string): string {
  return `SUM(iif(kind = '${kind}', amount, 0)) AS ${name}`;
}

function differ(a: string, b: string): string {
  return ["amount", "allowance", "volume", "repeated"]
    .map((column) => `COALESCE(${a}.${column}, 0) <> COALESCE(${b}.${column}, 0)`)
    .join(" OR ");
}

const MAX_PLACES = 3;

/** Counts everything again, from the journal and the events. It reads all of the ledger. */
export function verify(sql: SqlStorage, now: number): Verification {
  const since = monthsBefore(now, HOUR_MONTHS);
  const problems = CHECKS.flatMap(({ what, query }) => {
    // Whole numbers from the clock, and a key of digits: nothing that SQL could be hidden in.
    const bound = query
      .replaceAll(":since", String(since))
      .replaceAll(":month", `'${dayOf(since)}'`);
    const places = sql.exec<{ place: string }>(bound).toArray();
    if (places.length === 0) return [];
    const shown = places.slice(0, MAX_PLACES).map(({ place }) => place);
    return [`${what}: ${shown.join(", ")}${places.length > MAX_PLACES ? ", …" : ""}`];
  });
  return { ok: problems.length === 0, problems };
}
