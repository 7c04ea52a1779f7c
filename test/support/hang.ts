import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { TestBroker } from './broker.ts';
import { victim } from './broker-process.ts';

export interface Hanging {
  /** Resolves when the victim hangs. */
  reached(): Promise<void>;
  /** Lets go, and waits until the victim, killed meanwhile, has no connection left. */
  release(): Promise<void>;
}

const lock = 74_000;

/**
 * Has a victim hang from now on where it writes an event whose lock somebody holds. It is done once and stays:
 * taking a row trigger off a partitioned table deadlocks with whoever uses it (PostgreSQL locks a partition first).
 */
export async function letVictimsHang(broker: TestBroker): Promise<void> {
  await broker.sql.query(`
    CREATE FUNCTION hang_victim() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF current_setting('application_name') = '${victim}' THEN
        PERFORM pg_advisory_xact_lock_shared(${lock}, hashtext(NEW.type));
      END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER hang_victim BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION hang_victim()`);
}

/**
 * Has the victim hang where it writes this event, the last thing before its commit, until `release` is called.
 * @param holder a connection of the test's own, which holds the lock that the victim waits for.
 */
export async function hangAt(broker: TestBroker, holder: Client, event: string): Promise<Hanging> {
  await holder.query('SELECT pg_advisory_lock($1, hashtext($2))', [lock, event]);
  return hanging(broker, `wait_event = 'advisory'`, async () => {
    await holder.query('SELECT pg_advisory_unlock($1, hashtext($2))', [lock, event]);
  });
}

/** Has the victim, and whoever else comes by, hang where it reads this table, until `release` is called. */
export async function hangReading(broker: TestBroker, holder: Client, table: string): Promise<Hanging> {
  await holder.query('BEGIN');
  await holder.query(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return hanging(broker, `wait_event_type = 'Lock'`, async () => {
    await holder.query('COMMIT');
  });
}

function hanging(broker: TestBroker, waits: string, letGo: () => Promise<void>): Hanging {
  const connections = async (condition: string): Promise<number> => {
    const { rows } = await broker.sql.query(
      `SELECT FROM pg_stat_activity WHERE application_name = $1 AND ${condition}`,
      [victim],
    );
    return rows.length;
  };
  return {
    async reached() {
      while ((await connections(waits)) === 0) await sleep(10);
    },
    async release() {
      await letGo();
      while ((await connections('true')) > 0) await sleep(10);
    },
  };
}
