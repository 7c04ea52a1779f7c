import { setTimeout as sleep } from 'node:timers/promises';
import type { ListedAction } from '../agent/list-actions.ts';
import type { RefusalCode } from '../agent/refusal.ts';
import type { Device, Grant, Minted } from './answers.ts';
import type { Client } from './client.ts';
import type { OutputWriter } from './action-output.ts';
import { openDoor, type Door, type OpenedSession } from './door.ts';
import { doorAddress, type DoorAddress } from './door-transport.ts';
import { Failure } from './failure.ts';
import type { EngineerKey } from './key.ts';
import { endWords } from './refusals.ts';
import { interrupted } from './transport.ts';
import { durationWords } from './text/time-words.ts';
import { endingWords } from './words.ts';

export interface SessionOptions {
  /** The API; asked for anew each time, so that a fresh sign-in in another terminal is picked up. */
  readonly client: () => Promise<Client>;
  readonly key: EngineerKey;
  readonly device: Device;
  readonly grant: Grant;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly now: () => number;
  /** Tells the person something in passing: that time is running out, that a renewal failed. */
  readonly warn: (text: string) => void;
}

/** How an action came to its end: by itself, or because access ended. */
export type ActionEnd = { readonly exit: number } | { readonly ended: string };

/** A session at a device's door, renewed as long as the grant lasts and closed at the end. */
export interface AccessSession {
  readonly id: string;
  readonly scopes: readonly string[];
  /** Aborted once the grant is over: nothing more can be done in the session. */
  readonly over: AbortSignal;
  /** Why the session is over, in words: how its grant ended, else what the device said last. */
  whyOver(ended?: string): Promise<string>;
  /** What can be done in it. */
  actions(): Promise<readonly ListedAction[]>;
  /** Does one action; every piece of output is handed on before the next is read. */
  act(
    scope: string,
    args: Readonly<Record<string, unknown>>,
    onOutput: OutputWriter,
    /** Stops this action alone. */
    stop?: AbortSignal,
  ): Promise<ActionEnd>;
  close(): Promise<void>;
}

const openTries = 5;
const openPauseMilliseconds = 300;
const tickMilliseconds = 1000;
const grantRefreshMilliseconds = 15_000;
const warnAtSeconds = [300, 60];

/** Mints a credential, opens a session with it, and tends it until it is closed. */
export async function openAccessSession(options: SessionOptions): Promise<AccessSession> {
  const { client, key, device, signal, now, warn } = options;
  const first = await client();
  let offset = first.clockOffset();
  const clock = (): number => now() + offset;
  let door: Door = openDoor(doorAddress(device), key, clock);
  let grant = options.grant;
  let minted: Minted = await first.mint(grant.id, device.id, key, now);
  let session: OpenedSession;
  try {
    session = await openPatiently(door, minted, signal);
  } catch (thrown) {
    // The agent may have moved its door, or shown it another certificate, since the device was looked up.
    const address = thrown instanceof Failure && thrown.kind === 'unreachable' ? await movedDoor(first, device) : null;
    if (!address) throw thrown;
    door = openDoor(address, key, clock);
    session = await openPatiently(door, minted, signal);
  }
  const closing = new AbortController();
  const over = new AbortController();
  const warnings = [...warnAtSeconds];
  const tending = tend();

  /** Once a second: is the grant still there, is its end near, is the session due for renewal. */
  async function tend(): Promise<void> {
    let refreshAt = clock() + grantRefreshMilliseconds;
    let renewAt = renewalTime(session, clock());
    let complained = false;
    while (!closing.signal.aborted && !over.signal.aborted) {
      try {
        if (clock() >= refreshAt || clock() >= renewAt || warningDue()) {
          await refresh();
          refreshAt = clock() + grantRefreshMilliseconds;
        }
        if (hasEnded(grant, clock())) return over.abort();
        warnOfEnd();
        if (clock() >= renewAt) {
          // A credential that would last no longer than this one is not asked for, until an extension changes that:
          // one granted five seconds before the end must still be noticed in time.
          const isWorthIt = outlasts(grant, session);
          if (isWorthIt) await renew();
          renewAt = Math.max(renewalTime(session, clock()), clock() + (isWorthIt ? 1 : 2) * tickMilliseconds);
        }
        complained = false;
      } catch (thrown) {
        if (closing.signal.aborted) return undefined;
        if (!complained) warn(`the session cannot be renewed: ${thrown instanceof Error ? thrown.message : 'unknown'}`);
        complained = true;
        refreshAt = renewAt = clock() + 5000;
        if (hasEnded(grant, clock())) return over.abort();
      }
      await sleep(tickMilliseconds, undefined, { signal: closing.signal }).catch(() => undefined);
    }
    return undefined;
  }

  async function refresh(): Promise<void> {
    const api = await client();
    grant = await api.grant(grant.id);
    offset = api.clockOffset();
  }

  async function renew(): Promise<void> {
    const fresh = await (await client()).mint(grant.id, device.id, key, now);
    session = await door.renew(session.session, fresh, closing.signal);
    minted = fresh;
  }

  function secondsLeft(): number {
    return (Date.parse(grant.expiresAt) - clock()) / 1000;
  }

  function warningDue(): boolean {
    return warnings.length > 0 && secondsLeft() <= warnings[0]!;
  }

  function warnOfEnd(): void {
    if (!warningDue()) return;
    while (warningDue()) warnings.shift();
    const more = `latchkey extend ${grant.id} --for 30m --reason "…"`;
    warn(`access ends in ${durationWords(secondsLeft())}; ask for more time with: ${more}`);
  }

  return {
    id: session.session,
    scopes: session.scopes,
    over: over.signal,
    whyOver: async (ended) => {
      await refresh().catch(() => undefined);
      return endingWords(grant, clock()) ?? (ended === undefined ? 'the session is gone' : endWords(ended));
    },
    actions: async () => {
      const undescribed = { description: null, dataClass: null, timeLimitSeconds: null, parameters: null };
      const listed = await door.actions(session.session, minted, AbortSignal.any([signal, over.signal]));
      return listed ?? session.scopes.map((scope) => ({ scope, ...undescribed }));
    },
    async act(scope, args, onOutput, stop = signal) {
      const limit = AbortSignal.any([signal, stop, over.signal]);
      try {
        for await (const line of door.act(session.session, minted, scope, args, limit)) {
          if ('exit' in line || 'ended' in line) return line;
          await onOutput(line);
        }
      } catch (thrown) {
        if (signal.aborted || stop.aborted) throw interrupted();
        if (thrown instanceof Failure && !over.signal.aborted) throw thrown;
      }
      // The stream stopped without a last word: the agent cut it with the grant, or the connection broke.
      await refresh().catch(() => undefined);
      if (hasEnded(grant, clock())) return { ended: grant.state === 'active' ? 'expired' : grant.state };
      throw new Failure('unreachable', 'the connection to the device broke before the action was done', {
        hint: 'it may have been done all the same; look before you do it again',
      });
    },
    async close() {
      closing.abort();
      await tending;
      await door.close(session.session, minted).catch(() => undefined);
    },
  };
}

/** Where the door is now, if that is elsewhere, or behind another certificate, than it was. */
async function movedDoor(client: Client, device: Device): Promise<DoorAddress | null> {
  const now = await client.device(device.id).catch(() => null);
  const isElsewhere =
    now?.door?.url !== device.door?.url || now?.door?.certificateSha256 !== device.door?.certificateSha256;
  return now?.door && isElsewhere ? doorAddress(now) : null;
}

/** A grant that has only just begun may reach the device a moment after us: its refusal is believed after a while. */
export async function openPatiently(door: Door, minted: Minted, signal: AbortSignal): Promise<OpenedSession> {
  for (let tries = 0; ; tries++) {
    try {
      return await door.open(minted, signal);
    } catch (thrown) {
      if (tries === openTries || !isRefusal(thrown, 'grant-not-live')) throw thrown;
      await sleep(openPauseMilliseconds, undefined, { signal }).catch(() => undefined);
    }
  }
}

function isRefusal(thrown: unknown, code: RefusalCode): boolean {
  return thrown instanceof Failure && thrown.problem?.['type'] === `urn:latchkey:refusal:${code}`;
}

function hasEnded(grant: Grant, now: number): boolean {
  return ['expired', 'revoked', 'released'].includes(grant.state) || now >= Date.parse(grant.expiresAt);
}

/** A little before the agent's deadline: half a minute, or a fifth of the time left where that is less. */
function renewalTime(session: OpenedSession, now: number): number {
  const deadline = Date.parse(session.renewBefore);
  return deadline - Math.min(30_000, Math.max(0, deadline - now) / 5);
}

/** Whether a fresh credential would last longer than the session does; times in credentials are whole seconds. */
function outlasts(grant: Grant, session: OpenedSession): boolean {
  return Date.parse(grant.expiresAt) - Date.parse(session.expiresAt) > 1000;
}
