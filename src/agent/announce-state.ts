import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerError, callBroker } from './broker-calls.ts';
import type { SignIn } from './sign-in.ts';
import { withToken } from './watch-live-grants.ts';

/** How the device is and where its door is, as `PUT /v1/agent/state` takes it (contract §8). */
export interface DeviceState {
  readonly inUse: boolean;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly door: { readonly url: string; readonly certificateSha256: string | null };
}

export interface Announcer {
  /** Tells the broker the state there is now; resolves once the broker knows it, or one that came later. */
  announce(): Promise<void>;
  stop(): Promise<void>;
}

export interface AnnouncerOptions {
  readonly issuer: string;
  readonly signIn: SignIn;
  readonly state: () => DeviceState;
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

const longestPauseMs = 10_000;
const longestAskedMs = 60_000;

/** Keeps the broker's view of the device current: one call at a time, again until it arrives, always of the newest state. */
export function createAnnouncer({ issuer, signIn, state, log = () => undefined }: AnnouncerOptions): Announcer {
  const stopping = new AbortController();
  const { signal } = stopping;
  let running: Promise<void> | null = null;
  let next: Promise<void> | null = null;

  async function announceUntilKnown(): Promise<void> {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        const call = { method: 'PUT', json: state(), signal } as const;
        await withToken(signIn, (bearer) => callBroker(`${issuer}/v1/agent/state`, { ...call, bearer }));
        return;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        if (!signal.aborted) log('the broker does not take the state of the device', { why: error.message });
        const growing = Math.min(longestPauseMs, 250 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
        const asked = Math.min(error.retryAfter ?? 0, longestAskedMs) * (1 + Math.random() / 2);
        const pause = Math.max(growing, asked);
        await sleep(pause, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async function afterRunning(): Promise<void> {
    await running;
    next = null;
    running = announceUntilKnown();
    await running;
  }

  return {
    announce() {
      next ??= afterRunning();
      return next;
    },
    async stop() {
      stopping.abort();
      await next;
      await running;
    },
  };
}
