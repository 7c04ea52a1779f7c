import { newId, type GrantId, type PersonId, type SessionId } from '../domain/ids.ts';
import { durationIn, type EndCause } from './device-events.ts';
import type { LiveGrants } from './live-grants.ts';
import type { Promised, Reporter } from './report.ts';
import type { Verified, VerifiedCall } from './verify-credential.ts';

/** A credential in use at the door. */
export interface Session {
  readonly id: SessionId;
  readonly grant: GrantId;
  readonly person: PersonId;
  readonly jkt: string;
  readonly scopes: readonly string[];
  /** When it ends if nothing is done: with its credential or its grant. Milliseconds since the epoch. */
  expiresAt(): number;
  /** When a client does well to renew it: with a third of the time that was left still to go. */
  renewBefore(): number;
  /** True for the credentials it was opened or last renewed with. */
  isOf(verified: VerifiedCall): boolean;
  /** Aborted with the `EndCause` when the session ends. */
  readonly signal: AbortSignal;
  /**
   * Runs the one action a session can have at a time; the session counts as ended only once it has settled.
   * Null when another is running.
   */
  hold<T>(work: () => Promise<T>): Promise<T> | null;
}

export interface Sessions {
  /**
   * Opens a session. Resolves once it is on the disk that it was opened, and that it will be told to have ended whatever
   * becomes of the agent; null when there are as many as the door takes, or as one grant may have.
   * @throws DoorError `unavailable` when that cannot be written.
   */
  open(verified: Verified): Promise<Session | null>;
  /** The session with that id, if it is of the same grant, person and key. Others do not learn that it exists. */
  find(id: string, verified: VerifiedCall): Session | null;
  /** Prolongs a session to the end of a fresh credential; never shortens it. False when it has ended meanwhile. */
  renew(session: Session, verified: Verified): boolean;
  /** Ends a session; resolves once its action is gone and the end is reported. */
  end(session: Session, cause: EndCause): Promise<void>;
  /** Ends all of them, with the agent when no other cause is given. */
  stop(cause?: EndCause): Promise<void>;
}

export interface SessionsOptions {
  readonly liveGrants: LiveGrants;
  readonly reporter: Reporter;
  readonly maxSessions?: number;
}

interface Bound {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly cause: EndCause;
}

interface Entry {
  readonly session: Session;
  readonly controller: AbortController;
  readonly credentials: string[];
  /** Of the key that signed the credential it rests on. */
  kid: string;
  credentialEnd: number;
  bound: Bound;
  action: Promise<unknown> | null;
  /** To tell of its end. */
  promised: Promise<Promised>;
  timer: NodeJS.Timeout | undefined;
}

/** How often the clock is looked at for jumps: a machine that slept wakes to timers that are late. */
const tickMs = 1_000;
/** So that nobody can take the whole door. */
const maxSessionsPerGrant = 8;
const longestTimerMs = 60_000;

/**
 * The sessions of a door. Each ends by itself, at the millisecond at which its credential runs out unrenewed, its grant
 * ends, or the live grants are too old; and as soon as a list comes without its grant, or the key of its credential.
 */
export function createSessions({ liveGrants, reporter, maxSessions = 64 }: SessionsOptions): Sessions {
  const entries = new Map<SessionId, Entry>();
  const ending = new Set<Promise<void>>();
  const now = () => liveGrants.now() ?? Number.POSITIVE_INFINITY;
  const stopListening = liveGrants.onChange(() => checkAll());
  const tick = setInterval(() => checkAll(), tickMs);
  tick.unref();

  function checkAll(): void {
    for (const entry of entries.values()) check(entry);
  }

  /** Looks at what the session rests on, and ends it or sets its timer to the moment at which it must end. */
  function check(entry: Entry): void {
    const { session } = entry;
    const list = liveGrants.current();
    const live = list && liveGrants.live(session.grant, session.person, session.scopes);
    if (list && live) entry.bound = earliest(entry.credentialEnd, live.expiresAt, list.exp);
    const late = now() - entry.bound.at;
    if (late >= 0) return void finish(entry, entry.bound.cause, entry.bound.at);
    if (!list) return void finish(entry, 'stale-live-grants', now());
    if (!live) return void finish(entry, 'grant-not-live', list.iat);
    // Whoever has a key of the broker's that leaked made this credential as easily as the broker.
    if (!list.keys.has(entry.kid)) return void finish(entry, 'bad-signature', list.iat);
    clearTimeout(entry.timer);
    // A timer may fire a little early: the check that follows sets it again.
    entry.timer = setTimeout(() => check(entry), Math.min(Math.ceil(-late), longestTimerMs));
  }

  function finish(entry: Entry, cause: EndCause, due: number): Promise<void> {
    const { session, controller } = entry;
    if (!entries.delete(session.id)) return Promise.resolve();
    clearTimeout(entry.timer);
    controller.abort(cause);
    const ended = reportEnd(entry, cause, due).finally(() => ending.delete(ended));
    ending.add(ended);
    return ended;
  }

  async function reportEnd({ session, action, promised }: Entry, cause: EndCause, due: number): Promise<void> {
    // INVARIANT: nothing is called ended while its action may still be at work, however long that takes.
    await Promise.allSettled([action]);
    const lagMs = durationIn(now() - due);
    const promise = await promised.catch(() => null);
    // What was not promised has not begun either.
    await promise?.keep({ type: 'session.ended', session: session.id, grant: session.grant, cause, lagMs });
  }

  function promiseEnd(session: Session, verified: Verified): Promise<Promised> {
    const { grant, person, credential, id: credentialId, scopes, place } = verified;
    const about = { session: session.id, grant, person, credential, credentialId, scopes };
    const { index: receiptIndex, checkpoint } = place;
    const ofDeath = { type: 'session.ended', session: session.id, grant, cause: 'agent-died', lagMs: 0 } as const;
    return reporter.promise(ofDeath, { type: 'session.started', ...about, receiptIndex, checkpoint });
  }

  function makeEntry(verified: Verified): Entry {
    const controller = new AbortController();
    const session: Session = {
      id: newId('session', Math.floor(now())),
      grant: verified.grant,
      person: verified.person,
      jkt: verified.jkt,
      scopes: verified.scopes,
      signal: controller.signal,
      expiresAt: () => Math.min(entry.credentialEnd, liveEnd(session) ?? entry.bound.at),
      renewBefore: () => session.expiresAt() - Math.floor(Math.max(0, session.expiresAt() - now()) / 3),
      isOf: ({ credential }) => entry.credentials.includes(credential),
      hold(work) {
        if (entry.action || controller.signal.aborted) return null;
        const action = work().finally(() => {
          entry.action = null;
        });
        entry.action = action;
        return action;
      },
    };
    const credentialEnd = verified.exp * 1_000;
    const bound = { at: credentialEnd, cause: 'expired' } as const;
    const entry: Entry = {
      session,
      controller,
      credentials: [verified.credential],
      kid: verified.kid,
      credentialEnd,
      bound,
      action: null,
      promised: promiseEnd(session, verified),
      timer: undefined,
    };
    return entry;
  }

  const liveEnd = ({ grant, person, scopes }: Session) => liveGrants.live(grant, person, scopes)?.expiresAt;

  return {
    async open(verified) {
      const ofGrant = [...entries.values()].filter(({ session }) => session.grant === verified.grant);
      if (entries.size >= maxSessions || ofGrant.length >= maxSessionsPerGrant) return null;
      const entry = makeEntry(verified);
      const { session } = entry;
      entries.set(session.id, entry);
      // If we stop here, it was begun for nobody, and the next start tells that it has ended.
      await entry.promised.catch((error: unknown) => {
        entries.delete(session.id);
        clearTimeout(entry.timer);
        throw error;
      });
      if (entries.has(session.id)) check(entry);
      return session;
    },
    find(id, verified) {
      const session = entries.get(id as SessionId)?.session;
      const isTheirs =
        session?.grant === verified.grant && session.person === verified.person && session.jkt === verified.jkt;
      return session && isTheirs ? session : null;
    },
    renew(session, verified) {
      const entry = entries.get(session.id);
      if (!entry) return false;
      if (verified.exp * 1_000 >= entry.credentialEnd) entry.kid = verified.kid;
      entry.credentialEnd = Math.max(entry.credentialEnd, verified.exp * 1_000);
      // The one before stays known: calls made with it may still be on their way.
      if (!session.isOf(verified)) entry.credentials.push(verified.credential);
      if (entry.credentials.length > 2) entry.credentials.shift();
      check(entry);
      return !entry.controller.signal.aborted;
    },
    end(session, cause) {
      const entry = entries.get(session.id);
      return entry ? finish(entry, cause, now()) : Promise.resolve();
    },
    async stop(cause = 'agent-stopped') {
      stopListening();
      clearInterval(tick);
      for (const entry of entries.values()) void finish(entry, cause, now());
      await Promise.all(ending);
    },
  };
}

function earliest(credentialEnd: number, grantEnd: number, listEnd: number): Bound {
  const bounds: Bound[] = [
    { at: credentialEnd, cause: 'expired' },
    { at: grantEnd, cause: 'grant-not-live' },
    { at: listEnd, cause: 'stale-live-grants' },
  ];
  return bounds.reduce((first, next) => (next.at < first.at ? next : first));
}
