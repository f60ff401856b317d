/** What a ledger needs of its Durable Object: pass `state.storage`. */
export type LedgerStorage = Pick<DurableObjectStorage, "sql" | "transactionSync">;

/**
 * Each entry of the journal moves one amount from one account to another, so debits equal credits whatever
 * is entered. Exactly one side is the customer's. Nothing in it is ever changed: the triggers see to that,
 * also for INSERT OR REPLACE. The balances follow it by trigger.
 */
const JOURNAL = `
  CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN (
      'usage', 'allowance', 'volume', 'repeat', 'credit', 'refund', 'adjustment')),
    at INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0 AND amount <= 9007199254740991),
    note TEXT NOT NULL DEFAULT '',
    CHECK (debit <> credit),
    CHECK ((debit LIKE 'customer/%') <> (credit LIKE 'customer/%'))
  ) STRICT;
  CREATE INDEX IF NOT EXISTS journal_at ON journal (at, kind, amount, credit);

  CREATE TRIGGER IF NOT EXISTS journal_once BEFORE INSERT ON journal
  WHEN EXISTS (SELECT 1 FROM journal WHERE seq = NEW.seq OR id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the journal has this entry'); END;
  CREATE TRIGGER IF NOT EXISTS journal_unchanged BEFORE UPDATE ON journal
  BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
  CREATE TRIGGER IF NOT EXISTS journal_kept BEFORE DELETE ON journal
  BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

  CREATE TABLE IF NOT EXISTS balances (
    account TEXT PRIMARY KEY,
    debits INTEGER NOT NULL CHECK (debits <= 9007199254740991),
    credits INTEGER NOT NULL CHECK (credits <= 9007199254740991)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER IF NOT EXISTS journal_balances AFTER INSERT ON journal
  BEGIN
    INSERT INTO balances VALUES (NEW.debit, NEW.amount, 0)
      ON CONFLICT (account) DO UPDATE SET debits = debits + NEW.amount;
    INSERT INTO balances VALUES (NEW.credit, 0, NEW.amount)
      ON CONFLICT (account) DO UPDATE SET credits = credits + NEW.amount;
  END;
`;

/**
 * One row a billed request, for 35 days; then the rows are in files, which `files` counts. `begun` is when the
 * first request with its Idempotency-Key began; where that is not known, when this one was answered.
 */
const EVENTS = `
  CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    day TEXT NOT NULL,
    request TEXT NOT NULL,
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    key TEXT NOT NULL,
    placement TEXT NOT NULL,
    variant TEXT NOT NULL,
    price TEXT NOT NULL,
    scope TEXT NOT NULL,
    units TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    allowance INTEGER NOT NULL CHECK (allowance >= 0),
    volume INTEGER NOT NULL CHECK (volume >= 0),
    repeated INTEGER NOT NULL CHECK (repeated >= 0),
    lease TEXT NOT NULL,
    token TEXT NOT NULL,
    idempotency TEXT NOT NULL,
    begun INTEGER NOT NULL,
    receipt TEXT NOT NULL,
    CHECK (amount >= allowance + volume + repeated)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS events_day ON events (day, seq);
  CREATE INDEX IF NOT EXISTS events_idempotency ON events (key, idempotency) WHERE idempotency <> '';

  CREATE TABLE IF NOT EXISTS files (
    name TEXT PRIMARY KEY,
    day TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    events INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    allowance INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    repeated INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

const sums = (table: "hours" | "days"): string => `
  CREATE TABLE IF NOT EXISTS ${table} (
    period TEXT NOT NULL,
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    key TEXT NOT NULL,
    placement TEXT NOT NULL,
    requests INTEGER NOT NULL,
    units TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount <= 9007199254740991),
    allowance INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    PRIMARY KEY (period, model, version, key, placement)
  ) STRICT, WITHOUT ROWID;
`;

/** `spent` has a subject's net spending: the account's by day and month, a token's by its life. */
const COUNTERS = `
  CREATE TABLE IF NOT EXISTS month_units (
    month TEXT NOT NULL,
    scope TEXT NOT NULL,
    unit TEXT NOT NULL,
    count INTEGER NOT NULL CHECK (count <= 9007199254740991),
    PRIMARY KEY (month, scope, unit)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS spent (
    subject TEXT NOT NULL,
    period TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount <= 9007199254740991),
    last INTEGER NOT NULL,
    PRIMARY KEY (subject, period)
  ) STRICT, WITHOUT ROWID;
`;

const LEASES = `
  CREATE TABLE IF NOT EXISTS leases (
    id TEXT PRIMARY KEY,
    isolate TEXT NOT NULL,
    token TEXT NOT NULL,
    credit INTEGER NOT NULL,
    drawn INTEGER NOT NULL DEFAULT 0,
    returned INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    granted INTEGER NOT NULL,
    expires INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS leases_open ON leases (settled, expires)
    WHERE credit > returned + drawn;
`;

const OUTBOX = `
  CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL,
    event TEXT NOT NULL,
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next INTEGER NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (target, event)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS outbox_next ON outbox (dead, next);
`;

const SETTINGS = `
  CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

/** Makes the tables that are not there yet. */
export function createTables(sql: SqlStorage): void {
  for (const tables of [
    SETTINGS,
    JOURNAL,
    EVENTS,
    sums("hours"),
    sums("days"),
    COUNTERS,
    LEASES,
    OUTBOX,
  ]) {
    sql.exec(tables);
  }
}
