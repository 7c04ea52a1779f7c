import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerError } from './broker-calls.ts';
import type { Outbox, Waiting } from './outbox.ts';

/** Sends what waits, in order, until nothing does. */
export interface EventSender {
  /** There is something to send. */
  poke(): void;
  /** Tries at once what waits for its next try. */
  hurry(): void;
  /** Resolves once nothing waits, or after that many milliseconds. */
  flush(graceMs: number): Promise<void>;
  /** Sends what is left for at most that many milliseconds, and stops. */
  stop(graceMs: number): Promise<void>;
}

export interface EventSenderOptions {
  readonly from: Pick<Outbox, 'first' | 'told'>;
  /** Resolves once the broker has all of them in its ledger. */
  readonly post: (events: readonly Waiting[], signal: AbortSignal) => Promise<void>;
  readonly log: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

const batchSize = 50;
const batchBytes = 262_144;
const longestPauseMs = 10_000;
/** What the broker itself will answer again, however often it is asked. What only stands before it may not say so. */
const hopeless = new Set(['urn:latchkey:problem:invalid-request', 'urn:latchkey:problem:too-large']);

export function createEventSender({ from, post, log }: EventSenderOptions): EventSender {
  const stopping = new AbortController();
  const { signal } = stopping;
  let waking = new AbortController();
  let sending: Promise<void> | null = null;
  let failures = 0;

  /** An event that the broker will never take must not hold up those behind it: a batch with one goes one by one. */
  async function send(events: readonly Waiting[]): Promise<void> {
    try {
      await post(events, signal);
    } catch (error) {
      if (!(error instanceof BrokerError) || !hopeless.has(error.problem ?? '')) throw error;
      if (events.length > 1) {
        for (const event of events) await send([event]);
        return;
      }
      const [{ id, type, statement }] = events as readonly [Waiting];
      log('the broker refuses an event for good', { event: id, type, statement, why: error.message });
    }
    from.told(events);
    failures = 0;
  }

  async function sendAll(): Promise<void> {
    // In a later step, by which `sending` is set.
    await Promise.resolve();
    while (!signal.aborted) {
      try {
        const events = from.first(batchSize, batchBytes);
        if (events.length === 0) break;
        await send(events);
      } catch (error) {
        if (signal.aborted) break;
        failures += 1;
        if (failures === 1) log('events wait to be told', { why: error instanceof Error ? error.message : 'unknown' });
        const asked = error instanceof BrokerError ? error.retryAfter : null;
        const pause = asked ?? 200 * 2 ** Math.min(failures, 10) * (0.5 + Math.random());
        waking = new AbortController();
        const woken = AbortSignal.any([signal, waking.signal]);
        await sleep(Math.min(pause, longestPauseMs), undefined, { signal: woken }).catch(() => undefined);
      }
    }
    // INVARIANT: in the same step as the last look, or what comes in between would wait for what comes next.
    sending = null;
  }

  function poke(): void {
    if (signal.aborted) return;
    sending ??= sendAll();
  }

  return {
    poke,
    hurry() {
      waking.abort();
      poke();
    },
    async flush(graceMs) {
      poke();
      await Promise.race([sending, sleep(graceMs, undefined, { ref: false })]);
    },
    async stop(graceMs) {
      poke();
      const timer = setTimeout(() => stopping.abort(), graceMs);
      await sending;
      clearTimeout(timer);
      stopping.abort();
    },
  };
}
