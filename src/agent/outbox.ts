import { chmodSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { EventId } from '../domain/ids.ts';
import type { DeviceEvent } from './device-events.ts';
import { StateError } from './state-directory.ts';

/** An event that is signed and waits to be sent. */
export interface Waiting {
  readonly id: EventId;
  readonly type: DeviceEvent['type'];
  /** Signed once, so that every repeat is the same text. */
  readonly statement: string;
}

/** What is told, under this id, if the agent dies before it has told how it really ended. */
export interface Owed {
  readonly id: EventId;
  /** When it was written down, in milliseconds since the epoch. */
  readonly at: number;
  readonly event: DeviceEvent;
}

/** What is told is owed no longer; nor is what was told without having been written. */
export type Change = { readonly tell: Waiting } | { readonly owe: Owed } | { readonly settle: EventId };

/** How much is written down, without what was told already. */
export interface OutboxSize {
  readonly events: number;
  readonly bytes: number;
}

/** What a device has to tell its broker, on its disk. */
export interface Outbox {
  /**
   * Writes all of the changes down, in order, or none. INVARIANT: what it returned from is still there after a kill or a
   * power cut at any later moment. @throws when the disk is full or fails; then nothing has changed.
   */
  write(changes: readonly Change[]): void;
  /** The first of what waits, in the order in which it was written: so many events, or so many bytes and one event. */
  first(most: number, mostBytes: number): readonly Waiting[];
  /** These, the first, are told, or never will be. If that cannot be written, they come again after a restart. */
  told(events: readonly Waiting[]): void;
  /** In the order in which it was written. */
  owed(): readonly Owed[];
  size(): OutboxSize;
  close(): void;
}

const fileName = 'outbox.db';
const damagedName = 'outbox.damaged.db';
const schema = `
  CREATE TABLE IF NOT EXISTS waiting (place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, statement TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS owed (place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at REAL NOT NULL, event TEXT NOT NULL) STRICT;
`;

const selectOwed = 'SELECT id, at, event FROM owed ORDER BY place';

/** Null for a row that is not what it was: a disk may change what SQLite does not look at. */
function readOwed({ id, at, event }: Readonly<Record<string, unknown>>): Owed | null {
  try {
    return { id: id as EventId, at: Number(at), event: JSON.parse(String(event)) as DeviceEvent };
  } catch {
    return null;
  }
}

/**
 * Opens the outbox of a state directory, for one agent at a time; in memory only when there is no directory, for agents
 * whose events may be lost. SQLite keeps it: each write is one synced transaction, which a power cut leaves done or not
 * begun. Its journal keeps the room that it has taken, so that a full disk can still be emptied.
 *
 * A damaged file does not keep the door shut: it is put aside as `outbox.damaged.db`, whatever can be read of it goes
 * on, and `log` is told. The broker raises an alarm over a session whose end is lost.
 * @throws StateError when another agent has it, or it cannot be read at all.
 */
export function openOutbox(
  directory: string | null,
  log: (message: string, details?: Readonly<Record<string, unknown>>) => void = () => undefined,
): Outbox {
  if (directory === null) return outboxIn(openFile(':memory:'));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, fileName);
  try {
    return outboxIn(openFile(path));
  } catch (error) {
    if (isLocked(error)) throw new StateError(`\`${directory}\` is another agent's; stop it first`);
    if (!isDamaged(error)) throw new StateError(`\`${path}\` cannot be used: ${messageOf(error)}`);
  }
  const saved = salvage(path);
  putAside(path, join(directory, damagedName));
  const outbox = outboxIn(openFile(path));
  outbox.write(saved);
  log('what was to be told was damaged on the disk', { kept: damagedName, saved: saved.length });
  return outbox;
}

function openFile(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: 0 });
  try {
    if (path !== ':memory:') chmodSync(path, 0o600);
    // The lock goes with the process, however that ends.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL;');
    db.exec(schema);
    db.exec('BEGIN EXCLUSIVE; COMMIT');
    const [{ quick_check: verdict } = {}] = db.prepare('PRAGMA quick_check(1)').all();
    if (verdict !== 'ok') throw damaged(String(verdict));
    for (const row of db.prepare(selectOwed).iterate())
      if (!readOwed(row)) throw damaged('what is owed cannot be read');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function outboxIn(db: DatabaseSync): Outbox {
  const insertWaiting = db.prepare('INSERT INTO waiting (id, type, statement) VALUES (?, ?, ?)');
  const insertOwed = db.prepare('INSERT INTO owed (id, at, event) VALUES (?, ?, ?)');
  const deleteOwed = db.prepare('DELETE FROM owed WHERE id = ?');
  const deleteTold = db.prepare('DELETE FROM waiting WHERE place <= ?');
  const deleteOne = db.prepare('DELETE FROM waiting WHERE id = ?');
  const selectPlace = db.prepare('SELECT place FROM waiting WHERE id = ?');
  const selectFirst = db.prepare('SELECT id, type, statement FROM waiting WHERE place > ? ORDER BY place LIMIT ?');
  const selectSize = db.prepare(`
    SELECT count(*) AS events, coalesce(sum(bytes), 0) AS bytes FROM (
      SELECT length(statement) AS bytes FROM waiting WHERE place > ? UNION ALL SELECT length(event) FROM owed)`);
  /** Up to here all is told, whether or not that could be written. */
  let toldTo = 0;
  let size: OutboxSize | null = null;

  function apply(change: Change): void {
    if ('owe' in change) {
      const { id, at, event } = change.owe;
      insertOwed.run(id, at, JSON.stringify(event));
      return;
    }
    if ('settle' in change) {
      deleteOwed.run(change.settle);
      return;
    }
    const { id, type, statement } = change.tell;
    deleteOwed.run(id);
    insertWaiting.run(id, type, statement);
  }

  /** On a full disk there is room to take out a few, which makes room for others. */
  function takeOutSome(events: readonly Waiting[]): void {
    try {
      for (const { id } of events) deleteOne.run(id);
    } catch {
      // What is left goes with the next.
    }
  }

  return {
    write(changes) {
      size = null;
      db.exec('BEGIN IMMEDIATE');
      try {
        for (const change of changes) apply(change);
        db.exec('COMMIT');
      } catch (error) {
        // A full disk may have ended the transaction by itself.
        if (db.isTransaction) db.exec('ROLLBACK');
        throw error;
      }
    },
    first(most, mostBytes) {
      const found = selectFirst.all(toldTo, most) as unknown as Waiting[];
      let bytes = 0;
      const fitting = found.findIndex(({ statement }) => (bytes += statement.length) > mostBytes);
      return fitting < 0 ? found : found.slice(0, Math.max(1, fitting));
    },
    told(events) {
      size = null;
      const last = selectPlace.get(events.at(-1)!.id);
      if (!last) return;
      toldTo = Number(last['place']);
      try {
        deleteTold.run(toldTo);
      } catch {
        takeOutSome(events);
      }
    },
    owed: () =>
      db
        .prepare(selectOwed)
        .all()
        .map((row) => readOwed(row)!),
    size: () => (size ??= selectSize.get(toldTo) as unknown as OutboxSize),
    close() {
      if (db.isOpen) db.close();
    },
  };
}

/** What can still be read of a damaged file, by whichever way it can be read. */
function salvage(path: string): readonly Change[] {
  const changes: Change[] = [];
  let db: DatabaseSync;
  try {
    db = new DatabaseSync(path, { timeout: 0, readOnly: true });
  } catch {
    return changes;
  }
  const read = (sql: string, take: (row: Readonly<Record<string, unknown>>) => Change | null): void => {
    try {
      for (const row of db.prepare(sql).iterate()) {
        const change = take(row);
        if (change) changes.push(change);
      }
    } catch {
      // The rest of this table is lost.
    }
  };
  read('SELECT id, type, statement FROM waiting ORDER BY place', (row) => ({ tell: { ...row } as unknown as Waiting }));
  read(selectOwed, (row) => {
    const owe = readOwed(row);
    return owe && { owe };
  });
  db.close();
  return changes;
}

function putAside(path: string, damaged: string): void {
  for (const part of ['', '-wal', '-shm']) {
    rmSync(damaged + part, { force: true });
    if (existsSync(path + part)) renameSync(path + part, damaged + part);
  }
}

/** Primary result codes of SQLite's. */
const codes = { busy: 5, locked: 6, corrupt: 11, notADatabase: 26 } as const;
const damaged = (why: string): Error => Object.assign(new Error(why), { errcode: codes.corrupt });
const codeOf = (error: unknown): number => ((error as { readonly errcode?: number }).errcode ?? 0) & 0xff;
const isLocked = (error: unknown): boolean => [codes.busy, codes.locked].includes(codeOf(error) as 5);
const isDamaged = (error: unknown): boolean => [codes.corrupt, codes.notADatabase].includes(codeOf(error) as 11);
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : 'unknown');
