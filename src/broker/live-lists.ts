import { setImmediate as pause, setTimeout as sleep } from 'node:timers/promises';
import { signLiveGrants } from '../credentials/statements.ts';
import { LatchkeyError } from '../domain/errors.ts';
import type { DeviceId } from '../domain/ids.ts';
import { readLiveLists, type LiveList } from '../store/live-grants.ts';
import type { BrokerContext } from './context.ts';
import { gather } from './gather.ts';
import { watchListChanges } from './list-changes.ts';
import { createTurns } from './turns.ts';

/** A device that is connected to this broker. */
export interface Subscriber {
  /** Takes a signed statement. @returns false when the device does not keep up; it is then dropped. */
  send(statement: string): boolean;
  /** The connection is to end. The device does well to come back at a random moment within so many milliseconds. */
  drop(comeBackWithin?: number): void;
}

/** Tells connected devices what is live on them: at connect, at each change, and regularly from a fresh read. */
export interface LiveLists {
  /** How many devices are connected to this broker. */
  readonly connected: number;
  /** The device's statement from a fresh read; null when it is not enrolled. */
  statementFor(device: DeviceId): Promise<string | null>;
  /** @throws unavailable once no more devices are taken. */
  requireOpen(): void;
  /** Connects a device, in place of any connection it had. @returns how to disconnect it. */
  subscribe(device: DeviceId, subscriber: Subscriber): () => void;
  /** A hint that these lists have changed. */
  changed(devices: readonly DeviceId[]): void;
  /** Takes no more devices, and sends those that are here elsewhere, a few at a time; until its turn each is told all. */
  drain(): Promise<void>;
  /** Ends every connection, and all looking. */
  close(): void;
}

interface Connection {
  readonly device: DeviceId;
  readonly subscriber: Subscriber;
  readonly since: number;
  place: number;
  version: number;
  readAt: number;
}

/** A device relies on a statement for 60 s: it gets a fresh one four times in that while. Milliseconds. */
const heartbeat = 15_000;
const turnsEvery = 250;
/** Devices whose lists one query reads, at the most. */
const mostAtOnce = 1_000;
/** After so many signatures others have their turn: some two milliseconds. */
const signaturesAtOnce = 25;
const longestDrain = 3_000;
/** How many devices leave a second while draining, unless that would take longer than the longest. */
const leavingRate = 1_000;
/** In milliseconds: those that leave together do not come back together. */
const comeBackWithin = 500;

export function createLiveLists(
  context: Pick<BrokerContext, 'pool' | 'issuer' | 'keys' | 'log' | 'ledger'>,
): LiveLists {
  const connections = new Map<DeviceId, Connection>();
  const turns = createTurns<Connection>(heartbeat, heartbeat / turnsEvery, performance.now());
  let draining = false;
  let silent: string | null = null;

  const sign = (list: LiveList): Promise<string> =>
    signLiveGrants(context.keys.statement.signing(), context.issuer, {
      ...list,
      keys: context.keys.credential.published().map(({ kid }) => kid),
      newestLedgerKey: context.keys.ledger.published().at(-1)?.vkey,
    });

  const forget = (connection: Connection): void => {
    const { device, place } = connection;
    if (connections.get(device) === connection) connections.delete(device);
    turns.leave(connection, place);
  };
  const disconnect = (connection: Connection, comeBack?: number): void => {
    forget(connection);
    connection.subscriber.drop(comeBack);
  };

  const deliver = async (device: DeviceId, list: LiveList | undefined, readFrom: number): Promise<void> => {
    const connection = connections.get(device);
    if (!connection) return;
    // The device sets its clock by its first list: one that was being read when it connected would set it back.
    if (connection.since > readFrom) return regular.add([device]);
    if (!list) return disconnect(connection);
    // Reads may overtake one another; what a device has been told is never taken back.
    if (list.version < connection.version || list.readAt.getTime() < connection.readAt) return;
    connection.version = list.version;
    connection.readAt = list.readAt.getTime();
    const statement = await sign(list);
    if (connections.get(device) === connection && !connection.subscriber.send(statement)) {
      disconnect(connection);
    }
  };

  const refresh = async (wanted: readonly DeviceId[]): Promise<void> => {
    const devices = wanted.filter((device) => connections.has(device));
    // A database that has lost its past may have lost revocations too.
    if (devices.length === 0 || context.ledger.behind()) return;
    const readFrom = performance.now();
    const lists = new Map((await readLiveLists(context.pool, devices)).map((list) => [list.device, list]));
    silent = null;
    for (const [index, device] of devices.entries()) {
      if (index % signaturesAtOnce === signaturesAtOnce - 1) await pause();
      await deliver(device, lists.get(device), readFrom);
    }
  };
  const complain = (error: unknown): void => {
    // INVARIANT: what was not read is not sent. Devices that hear nothing shut by themselves.
    if (silent === (silent = String(error))) return;
    context.log.warn({ error: silent }, 'live grants could not be read: devices are told nothing meanwhile');
  };
  // What has changed does not wait behind what is only due.
  const urgent = gather(mostAtOnce, refresh, complain);
  const regular = gather(mostAtOnce, refresh, complain);
  const changed = (devices: readonly DeviceId[]): void => urgent.add(devices.filter((each) => connections.has(each)));

  const beat = setInterval(
    () => regular.add(turns.due(performance.now()).map(({ device }) => device)),
    turnsEvery,
  ).unref();
  const changes = watchListChanges(
    context,
    () => connections.size === 0,
    (recent) => {
      const isNews = ({ device, version }: (typeof recent)[number]): boolean =>
        (connections.get(device)?.version ?? version) < version;
      changed(recent.filter(isNews).map(({ device }) => device));
    },
  );
  context.keys.credential.onChange(() => changed([...connections.keys()]));
  context.keys.statement.onChange((withdrawn) => {
    // Whoever has the leaked key may be connected in a device's name: all sign in anew, with tokens that still count.
    if (withdrawn) for (const connection of connections.values()) disconnect(connection, comeBackWithin);
  });

  return {
    get connected() {
      return connections.size;
    },
    async statementFor(device) {
      context.ledger.requireSound();
      const [list] = await readLiveLists(context.pool, [device]);
      return list ? sign(list) : null;
    },
    requireOpen() {
      if (draining) throw new LatchkeyError('unavailable', 'this broker is stopping: try another', { retryAfter: 1 });
    },
    subscribe(device, subscriber) {
      const earlier = connections.get(device);
      if (earlier) disconnect(earlier);
      const connection = { device, subscriber, since: performance.now(), place: 0, version: 0, readAt: 0 };
      connection.place = turns.join(connection);
      connections.set(device, connection);
      regular.add([device]);
      return () => forget(connection);
    },
    changed,
    async drain() {
      draining = true;
      const until = performance.now() + Math.min(longestDrain, (connections.size / leavingRate) * 1_000);
      while (connections.size > 0) {
        const stepsLeft = Math.max(1, Math.floor((until - performance.now()) / drainStep));
        const leaving = [...connections.values()].slice(0, Math.ceil(connections.size / stepsLeft));
        for (const connection of leaving) disconnect(connection, comeBackWithin);
        if (connections.size > 0) await sleep(drainStep);
      }
    },
    close() {
      draining = true;
      clearInterval(beat);
      changes.close();
      for (const gathered of [urgent, regular]) gathered.close();
      for (const connection of connections.values()) disconnect(connection);
    },
  };
}

const drainStep = 20;
