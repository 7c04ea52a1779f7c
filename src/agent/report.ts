import { newId, type DeviceId, type EventId, type SessionId } from '../domain/ids.ts';
import { callBroker } from './broker-calls.ts';
import { cutOffByDeath, type DeviceEvent } from './device-events.ts';
import { DoorError } from './door-http.ts';
import type { DeviceKey } from './keys.ts';
import type { Change, Outbox, Owed, Waiting } from './outbox.ts';
import { createPatientOutbox } from './patient-outbox.ts';
import { createEventSender } from './send-events.ts';
import type { SignIn } from './sign-in.ts';
import { withToken } from './watch-live-grants.ts';

/** Something that was begun, and whose end the device has bound itself to tell. */
export interface Promised {
  /** Of the event that will tell of it, whoever tells it: the ledger takes an id once. */
  readonly id: EventId;
  /**
   * Tells how it ended. Never fails: what a full disk does not take is kept in memory, sent from there, and written as
   * soon as it can be. If the agent dies before, what was promised is told, under the same id.
   */
  keep(event: DeviceEvent): Promise<void>;
}

/**
 * Tells the broker what happened at the door: each event once and in order, however often the agent or the broker is
 * stopped in between. What is to be told is on the disk before it is let happen.
 */
export interface Reporter {
  /**
   * Takes an event to be sent. Resolves with its id once it is on the disk.
   * @throws DoorError `unavailable` when it cannot be written, and so will not be told.
   */
  report(event: DeviceEvent): Promise<EventId>;
  /**
   * Call before something is begun that has to be told of when it ends. Resolves once it is on the disk that `last` is to
   * be told if the agent dies before the promise is kept; `first`, if there is one, is taken to be sent in the same step.
   * @throws DoorError `unavailable` when that cannot be written, or too much waits: then nothing may be begun.
   */
  promise(last: DeviceEvent, first?: DeviceEvent): Promise<Promised>;
  /**
   * False when so much waits to be sent, or the disk is so full, that nothing may be begun.
   * @param share of the room that may be taken by then: all of it when not given.
   */
  hasRoom(share?: number): boolean;
  /**
   * Tells of what an agent before this one had promised when it died: what was begun last first. What `isStillOn` stays
   * promised until the next start. Call it before anything new is promised.
   * @param aliveAt when that agent was last known to live, in milliseconds since the epoch; null when nobody knows.
   */
  recover(aliveAt: number | null, isStillOn?: (session: SessionId) => boolean): Promise<void>;
  /** Now is a better moment than any: what waits for its next try is tried at once. */
  hurry(): void;
  /** Resolves once all is sent, or after that many milliseconds. */
  flush(graceMs: number): Promise<void>;
  /** Sends what is left, for at most that many milliseconds, stops, and closes the outbox. */
  stop(graceMs: number): Promise<void>;
}

export interface ReporterOptions {
  readonly issuer: string;
  readonly device: DeviceId;
  readonly key: DeviceKey;
  readonly signIn: SignIn;
  readonly outbox: Outbox;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
  /** How many events, and how many bytes of them, may wait or be promised before `hasRoom` says no. */
  readonly capacity?: number;
  readonly capacityBytes?: number;
}

/** A reporter on an outbox, which it closes when it stops. */
export function createReporter(options: ReporterOptions): Reporter {
  const { issuer, device, key, signIn, outbox, now, log = () => undefined } = options;
  const { capacity = 10_000, capacityBytes = 16_777_216 } = options;
  const patient = createPatientOutbox(outbox, log);
  const sender = createEventSender({ from: patient, post, log });
  if (outbox.size().events > 0) sender.poke();

  async function post(waiting: readonly Waiting[], signal: AbortSignal): Promise<void> {
    const events = waiting.map(({ statement }) => statement);
    // Only 204 says that all are in the ledger: what else answers, such as a proxy, may have dropped them.
    const call = { method: 'POST', json: { events }, success: 204, signal } as const;
    await withToken(signIn, (bearer) => callBroker(`${issuer}/v1/agent/events`, { ...call, bearer }));
  }

  async function tell(id: EventId, event: DeviceEvent): Promise<Change> {
    const time = now();
    const about = { iss: device, aud: issuer, jti: id, iat: Math.floor(time / 1_000) };
    const claims = { ...about, ...event, at: new Date(time).toISOString() };
    return { tell: { id, type: event.type, statement: await key.sign('latchkey-event+jwt', claims) } };
  }

  const nextId = () => newId('event', Math.floor(now()));

  function hasRoom(share = 1): boolean {
    const { events, bytes } = outbox.size();
    return patient.isWritten() && events < capacity * share && bytes < capacityBytes * share;
  }

  async function write(changes: Promise<readonly Change[]>): Promise<void> {
    try {
      await patient.write(changes);
    } catch {
      throw new DoorError('unavailable', 'the device has no room to write down what it would have to report');
    }
    sender.poke();
  }

  return {
    async report(event) {
      const id = nextId();
      await write(tell(id, event).then((change) => [change]));
      return id;
    },
    async promise(last, begun) {
      if (!hasRoom()) {
        throw new DoorError('unavailable', 'the device has too much to report, or no room for more, to begin anything');
      }
      const firstId = begun && nextId();
      const id = nextId();
      const owe = { owe: { id, at: now(), event: last } };
      await write(begun ? tell(firstId!, begun).then((change) => [change, owe]) : Promise.resolve([owe]));
      return {
        id,
        async keep(event) {
          await patient.keep(tell(id, event).then((change) => [change]));
          sender.poke();
        },
      };
    },
    hasRoom,
    async recover(aliveAt, isStillOn = () => false) {
      const left = outbox.owed().filter(({ event }) => !('session' in event && isStillOn(event.session)));
      if (left.length === 0) return;
      const lastAlive = Math.max(aliveAt ?? 0, ...left.map(({ at }) => at));
      const tellOf = ({ id, at, event }: Owed) => tell(id, cutOffByDeath(event, now() - at, now() - lastAlive));
      // Actions are begun after their sessions, and end before them.
      await patient.keep(Promise.all(left.toReversed().map(tellOf)));
      log('what went on when the agent died is told', { events: left.length });
      sender.poke();
    },
    hurry: () => sender.hurry(),
    flush: (graceMs) => sender.flush(graceMs),
    async stop(graceMs) {
      await sender.stop(graceMs);
      await patient.close();
    },
  };
}
