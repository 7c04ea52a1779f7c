import { setTimeout as sleep } from 'node:timers/promises';
import { newId, type DeviceId, type EventId } from '../domain/ids.ts';
import { BrokerError, callBroker } from './broker-calls.ts';
import type { DeviceEvent } from './device-events.ts';
import type { DeviceKey } from './keys.ts';
import type { SignIn } from './sign-in.ts';
import { withToken } from './watch-live-grants.ts';

/** Tells the broker what happened at the door. */
export interface Reporter {
  /**
   * Takes an event to be signed and sent, in order, until the broker has it: a repeat carries the same `jti`, so it
   * counts once. Never waits. Returns the event's id.
   */
  report(event: DeviceEvent): EventId;
  /** False when so much waits to be sent that nothing should be begun that would have to be reported. */
  hasRoom(): boolean;
  /** Sends what is left, for at most that many milliseconds, and stops. */
  stop(graceMs: number): Promise<void>;
}

export interface ReporterOptions {
  readonly issuer: string;
  readonly device: DeviceId;
  readonly key: DeviceKey;
  readonly signIn: SignIn;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
  /** How many events may wait before `hasRoom` says no. */
  readonly capacity?: number;
}

interface Waiting {
  readonly id: EventId;
  readonly type: DeviceEvent['type'];
  /** Signed once, so that every repeat is the same text. */
  readonly statement: Promise<string>;
}

const batchSize = 50;
const longestPauseMs = 10_000;
/** What the broker will answer again, however often it is asked. */
const hopeless = new Set([400, 403, 409, 413, 422]);

/** A reporter with a queue in memory. */
export function createReporter(options: ReporterOptions): Reporter {
  const { issuer, device, key, signIn, now, log = () => undefined, capacity = 10_000 } = options;
  const waiting: Waiting[] = [];
  const stopping = new AbortController();
  let sending: Promise<void> | null = null;
  let failures = 0;

  function sign(id: EventId, event: DeviceEvent): Promise<string> {
    const time = now();
    const about = { iss: device, aud: issuer, jti: id, iat: Math.floor(time / 1_000) };
    return key.sign('latchkey-event+jwt', { ...about, ...event, at: new Date(time).toISOString() });
  }

  async function post(batch: readonly Waiting[]): Promise<void> {
    const events = await Promise.all(batch.map(({ statement }) => statement));
    const call = { method: 'POST', json: { events }, signal: stopping.signal } as const;
    await withToken(signIn, (bearer) => callBroker(`${issuer}/v1/agent/events`, { ...call, bearer }));
  }

  /** An event that the broker will never take must not hold up those behind it, so a batch with one goes singly. */
  async function sendBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      await post(batch);
    } catch (error) {
      if (!(error instanceof BrokerError) || !hopeless.has(error.status ?? 0)) throw error;
      if (batch.length > 1) return sendBatch(batch.slice(0, 1));
      log('the broker refuses an event', { event: batch[0]!.id, type: batch[0]!.type, why: error.message });
    }
    waiting.splice(0, batch.length);
    failures = 0;
  }

  async function send(): Promise<void> {
    while (waiting.length > 0 && !stopping.signal.aborted) {
      try {
        await sendBatch(waiting.slice(0, batchSize));
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        failures += 1;
        const pause = error.retryAfter ?? 200 * 2 ** Math.min(failures, 10) * (0.5 + Math.random());
        await sleep(Math.min(pause, longestPauseMs), undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
    sending = null;
  }

  return {
    report(event) {
      const id = newId('event', Math.floor(now()));
      waiting.push({ id, type: event.type, statement: sign(id, event) });
      sending ??= send();
      return id;
    },
    hasRoom: () => waiting.length < capacity,
    async stop(graceMs) {
      const timer = setTimeout(() => stopping.abort(), graceMs);
      await sending;
      clearTimeout(timer);
      stopping.abort();
    },
  };
}
