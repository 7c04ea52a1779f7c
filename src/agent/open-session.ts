import { DoorError } from './door-http.ts';
import { isRefusalCode, Refusal } from './refusal.ts';
import type { EndCause } from './device-events.ts';
import type { Reporter } from './report.ts';
import type { Session, Sessions } from './sessions.ts';
import type { Presented, Verifier } from './verify-credential.ts';

/** Who decides at a door, who keeps what is open behind it, and who tells the broker. */
export interface Doorkeeper {
  readonly verifier: Verifier;
  readonly sessions: Sessions;
  readonly reporter: Reporter;
}

/**
 * Opens a session for whoever presents a credential at a door of your own. Resolves only if the credential, the proof of
 * its key, its receipt and its live grant hold at this very moment (contract §8), with what the broker is told of it
 * already on the disk. From then on the session ends by itself: its `signal` is aborted, with the cause, at the millisecond at
 * which its credential runs out unrenewed, its grant ends, the live grants are too old, or a list comes without its
 * grant. Run what it is for in `session.hold`, so that it counts as ended only once that is gone.
 *
 * A proof is used up by the call, whatever its outcome. A refusal that is about somebody is reported before it is thrown.
 * @throws Refusal with the first code of contract §8 that applies.
 * @throws DoorError `unavailable` when there are as many sessions, or as much waits to be reported, as the device takes,
 *   or its disk is full.
 */
export function openSession(doorkeeper: Doorkeeper, presented: Presented): Promise<Session> {
  const { verifier, sessions, reporter } = doorkeeper;
  return reportingRefusals(reporter, async () => {
    const verified = await verifier.verifyCredential(presented);
    const session = await sessions.open(verified);
    if (!session) {
      throw new DoorError('unavailable', 'the device has as many sessions as it takes, or as one grant may have');
    }
    requireRunning(session);
    return session;
  });
}

/** Does the work of a call at the door, and reports a refusal that comes of it if it names somebody. */
export async function reportingRefusals<T>(reporter: Reporter, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // What nobody could be named for is only counted: a stranger must not be able to fill the ledger.
    // Nor may somebody who is known keep others out by being refused until there is no room.
    if (error instanceof Refusal && error.subject !== null && reporter.hasRoom(1 / 2)) {
      const { grant, person } = error.subject;
      // One that cannot be written is counted like those about nobody; it is no less refused.
      await reporter.report({ type: 'session.refused', code: error.code, grant, person }).catch(() => undefined);
    }
    throw error;
  }
}

/** A session that ended between its verification and now says why. @throws Refusal */
export function requireRunning(session: Session): void {
  if (!session.signal.aborted) return;
  const cause = session.signal.reason as EndCause;
  throw new Refusal(isRefusalCode(cause) ? cause : 'grant-not-live', 'the session has ended', session);
}
