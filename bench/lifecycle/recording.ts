import { randomBytes, randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { newId } from '../../src/domain/ids.ts';

/** A statement as the broker sent it. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values: readonly unknown[];
  /** Statements of one turn of the event loop travel together, without waiting for one another's answers. */
  readonly turn: number;
}

/** Statements of one transaction, `BEGIN` and `COMMIT` included, or a single one that stood alone. */
export type Transaction = readonly Statement[];

type Query = (this: unknown, ...args: unknown[]) => unknown;

/** Notes every statement that this process sends to PostgreSQL while `work` runs, connection by connection. */
export async function recordTransactions(work: () => Promise<void>): Promise<Transaction[]> {
  const perClient = new Map<unknown, Statement[]>();
  const prototype = Client.prototype as unknown as { query: Query };
  const { query } = prototype;
  let turn = 0;
  let turning = false;
  prototype.query = function recordingQuery(...args) {
    if (!turning) {
      turning = true;
      process.nextTick(() => {
        turning = false;
        turn += 1;
      });
    }
    const sent = perClient.get(this) ?? [];
    perClient.set(this, sent);
    sent.push({ ...statementOf(args), turn });
    return query.apply(this, args);
  };
  try {
    await work();
  } finally {
    prototype.query = query;
  }
  return [...perClient.values()].flatMap(splitTransactions).sort((a, b) => a[0]!.turn - b[0]!.turn);
}

function statementOf([config, values]: readonly unknown[]): Omit<Statement, 'turn'> {
  if (typeof config === 'string') return { text: config, values: Array.isArray(values) ? values : [] };
  const { name, text, values: own = [] } = config as Partial<Statement> & { text: string };
  return { ...(name !== undefined && { name }), text, values: own };
}

function splitTransactions(statements: readonly Statement[]): Transaction[] {
  const found: Statement[][] = [];
  let open = false;
  for (const statement of statements) {
    if (open) found.at(-1)!.push(statement);
    else found.push([statement]);
    if (/^BEGIN/i.test(statement.text)) open = true;
    if (/^(COMMIT|ROLLBACK$)/i.test(statement.text)) open = false;
  }
  return found;
}

/** What the sequencer's transactions are known by. */
const ofSequencer = new Set(['lock-ledger-state', 'index-subjects', 'index-subjects-again']);

/**
 * Whether any value of a transaction names one of these ids. The sequencer's do not count: it works for many lifecycles
 * at once, and what it does for one cannot be done again for another.
 */
export function mentions(transaction: Transaction, ids: ReadonlySet<string>): boolean {
  if (transaction.some(({ name }) => name !== undefined && ofSequencer.has(name))) return false;
  const isOneOf = (value: unknown): boolean =>
    Array.isArray(value) ? value.some(isOneOf) : typeof value === 'string' && ids.has(value);
  return transaction.some(({ values }) => values.some(isOneOf));
}

/** The names of the statements, transaction by transaction, as a text to compare and to read. */
export function namesOf(transactions: readonly Transaction[]): string {
  const nameOf = ({ name, text }: Statement): string => name ?? text;
  return transactions
    .map((each) =>
      journeysOf(each)
        .map((together) => together.map(nameOf).join(' · '))
        .join(' | '),
    )
    .join('\n');
}

/** The statements of a transaction by what goes to the database together. */
export function journeysOf(transaction: Transaction): Statement[][] {
  return [...Map.groupBy(transaction, ({ turn }) => turn).values()];
}

/**
 * The same statements with fresh values, as another lifecycle would send them: ids, hashes and keys that count once
 * are new, consistently throughout; times move along; what is replaced by name (people, devices) stands in for what
 * was recorded. All else is as it was.
 */
export function refresh(
  transactions: readonly Transaction[],
  recordedAt: number,
  instead: ReadonlyMap<string, string>,
): Transaction[] {
  const now = Date.now();
  const fresh = new Map<string, string | Buffer>(instead);
  const once = <T extends string | Buffer>(key: string, make: () => T): T => {
    if (!fresh.has(key)) fresh.set(key, make());
    return fresh.get(key) as T;
  };
  const renew = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(renew);
    if (value instanceof Date) return new Date(value.getTime() - recordedAt + now);
    if (Buffer.isBuffer(value)) {
      return value.length === 32 ? once(value.toString('hex'), () => randomBytes(32)) : value;
    }
    if (typeof value !== 'string') return value;
    if (fresh.has(value)) return fresh.get(value);
    if (typeId.test(value)) return once(value, () => `${value.slice(0, 4)}${newId('event', now).slice(4)}`);
    if (uuid.test(value)) return once(value, randomUUID);
    return value;
  };
  return transactions.map((transaction) =>
    transaction.map((statement) => ({ ...statement, values: statement.values.map(renew) })),
  );
}

/** Ids of what a lifecycle makes; people, devices and tenants were there before. */
const typeId = /^(?!per|dev|ten)[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
