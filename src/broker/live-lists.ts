import { signLiveGrants } from '../credentials/statements.ts';
import type { DeviceId } from '../domain/ids.ts';
import { readLiveLists, recentVersions, type LiveList } from '../store/live-grants.ts';
import type { BrokerContext } from './context.ts';

/** A device that is connected to this broker. */
export interface Subscriber {
  /** Takes a signed statement. @returns false when the device does not keep up; it is then dropped. */
  send(statement: string): boolean;
  /** The connection is to end. */
  drop(): void;
}

/** Tells connected devices what is live on them: at connect, at each change, and regularly from a fresh read. */
export interface LiveLists {
  /** The device's statement from a fresh read; null when it is not enrolled. */
  statementFor(device: DeviceId): Promise<string | null>;
  /** Connects a device, in place of any connection it had. @returns how to disconnect it. */
  subscribe(device: DeviceId, subscriber: Subscriber): () => void;
  /** A hint that these lists have changed. */
  changed(devices: readonly DeviceId[]): void;
  close(): void;
}

interface Connection {
  readonly subscriber: Subscriber;
  readonly since: number;
  version: number;
  readAt: number;
}

/** A device relies on a statement for 60 s: it gets a fresh one four times in that while. */
const heartbeat = 15_000;
const tick = 1_000;
/** How often changes made by other brokers are looked for, and how far back, in seconds: no transaction takes longer. */
const lookEvery = 250;
const lookBack = 20;
const slice = 500;

export function createLiveLists(
  context: Pick<BrokerContext, 'pool' | 'issuer' | 'keys' | 'log' | 'ledger'>,
): LiveLists {
  const connections = new Map<DeviceId, Connection>();
  const pending = new Set<DeviceId>();
  let refreshing = false;

  const sign = (list: LiveList): Promise<string> =>
    signLiveGrants(context.keys.statement, context.issuer, { ...list, keys: [context.keys.credential.kid] });

  const deliver = async (device: DeviceId, list: LiveList | undefined, readFrom: number): Promise<void> => {
    const connection = connections.get(device);
    if (!connection) return;
    // The device sets its clock by its first list: one that was being read when it connected would set it back.
    if (connection.since > readFrom) return void pending.add(device);
    if (!list) return disconnect(device, connection);
    // Reads may overtake one another; what a device has been told is never taken back.
    if (list.version < connection.version || list.readAt.getTime() < connection.readAt) return;
    connection.version = list.version;
    connection.readAt = list.readAt.getTime();
    const statement = await sign(list);
    if (connections.get(device) === connection && !connection.subscriber.send(statement)) {
      disconnect(device, connection);
    }
  };

  const disconnect = (device: DeviceId, connection: Connection): void => {
    if (connections.get(device) === connection) connections.delete(device);
    connection.subscriber.drop();
  };

  const refresh = async (): Promise<void> => {
    // A database that has lost its past may have lost revocations too.
    if (refreshing || context.ledger.behind()) return;
    refreshing = true;
    try {
      while (pending.size > 0) {
        const devices = [...pending].slice(0, slice);
        for (const device of devices) pending.delete(device);
        const readFrom = performance.now();
        const lists = new Map((await readLiveLists(context.pool, devices)).map((list) => [list.device, list]));
        await Promise.all(devices.map((device) => deliver(device, lists.get(device), readFrom)));
      }
    } catch (error) {
      // INVARIANT: what was not read is not sent. Devices that hear nothing shut by themselves.
      context.log.warn({ error: String(error) }, 'live grants could not be read');
    } finally {
      refreshing = false;
    }
  };
  const want = (devices: Iterable<DeviceId>): void => {
    for (const device of devices) if (connections.has(device)) pending.add(device);
    if (pending.size > 0) void refresh();
  };

  const beat = setInterval(() => {
    const due = Date.now() - heartbeat;
    want([...connections].filter(([, connection]) => connection.readAt <= due).map(([device]) => device));
  }, tick);
  let looking = false;
  const lookAround = async (): Promise<void> => {
    if (looking || connections.size === 0) return;
    looking = true;
    try {
      const recent = await recentVersions(context.pool, lookBack);
      want(
        recent
          .filter(({ device, version }) => (connections.get(device)?.version ?? version) < version)
          .map((r) => r.device),
      );
    } catch {
      // The next look, or the next heartbeat, finds it.
    } finally {
      looking = false;
    }
  };
  const look = setInterval(() => void lookAround(), lookEvery);
  for (const timer of [beat, look]) timer.unref();

  return {
    async statementFor(device) {
      context.ledger.requireRoom();
      const [list] = await readLiveLists(context.pool, [device]);
      return list ? sign(list) : null;
    },
    subscribe(device, subscriber) {
      connections.get(device)?.subscriber.drop();
      const connection: Connection = { subscriber, since: performance.now(), version: 0, readAt: 0 };
      connections.set(device, connection);
      want([device]);
      return () => {
        if (connections.get(device) === connection) connections.delete(device);
      };
    },
    changed: want,
    close() {
      clearInterval(beat);
      clearInterval(look);
      for (const [device, connection] of connections) disconnect(device, connection);
    },
  };
}
