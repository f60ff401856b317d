import type { Ledger } from "../../billing/ledger.ts";
import { horizonOf } from "../../billing/ledger/retention.ts";
import { endOf } from "../../billing/periods.ts";

const NAME = "upkeep_at";
const RETRY_MS = 10 * 60 * 1000;
/** Days begin at the same time everywhere; accounts do their upkeep within the hours after it. */
const SPREAD_MS = 3 * 60 * 60 * 1000;

/** Once a day: old events and dead letters go into files of the bucket, and what nobody will ask for goes. */
export class Upkeep {
  readonly #sql: SqlStorage;
  readonly #ledger: Ledger;
  readonly #bucket: Pick<R2Bucket, "put">;
  readonly #now: () => number;

  constructor(sql: SqlStorage, ledger: Ledger, bucket: Pick<R2Bucket, "put">, now: () => number) {
    this.#sql = sql;
    this.#ledger = ledger;
    this.#bucket = bucket;
    this.#now = now;
  }

  nextAt(): number {
    const [row] = this.#sql
      .exec<{ value: string }>("SELECT value FROM settings WHERE name = ?", NAME)
      .toArray();
    if (row !== undefined) return Number(row.value);
    return this.#plan(this.#tomorrow());
  }

  /** Does what is due. Interrupted anywhere it goes on from there: a file is confirmed once it is stored. */
  async run(): Promise<void> {
    if (this.nextAt() > this.#now()) return;
    // Until it is done: the bucket may be away for a while.
    this.#plan(this.#now() + RETRY_MS);
    for (let file = this.#ledger.nextFile(); file !== undefined; file = this.#ledger.nextFile()) {
      const { body, ...confirmed } = file;
      await this.#bucket.put(eventFileKey(file.name), body);
      this.#ledger.confirmFile(confirmed);
    }
    await this.#fileDead();
    this.#ledger.prune();
    this.#plan(this.#tomorrow());
  }

  /** What could not be exported, and was not tried again while its event was in the ledger. */
  async #fileDead(): Promise<void> {
    const { outbox, terms } = this.#ledger;
    const before = horizonOf(this.#now());
    for (let file = outbox.oldDead(before); file !== undefined; file = outbox.oldDead(before)) {
      await this.#bucket.put(`outbox/${terms.account}/${file.name}`, file.body);
      outbox.drop(file.seqs);
    }
  }

  #tomorrow(): number {
    return endOf("day", this.#now()) + Math.floor(Math.random() * SPREAD_MS);
  }

  #plan(at: number): number {
    this.#sql.exec("INSERT OR REPLACE INTO settings VALUES (?, ?)", NAME, String(at));
    return at;
  }
}

/** `ledger/<account>/<day>/<first>-<last>.ndjson` in the bucket. */
export function eventFileKey(name: string): string {
  return name.replace(/^events\//, "ledger/");
}
