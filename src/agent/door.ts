import type { IncomingMessage, ServerResponse } from 'node:http';
import { performAction, prepareAction, readArguments, type Actions } from './actions.ts';
import { DoorError, readJson, sendJson, sendProblem } from './door-http.ts';
import { listenAtDoor, type DoorAddressOptions, type DoorCertificate } from './door-server.ts';
import { listActions } from './list-actions.ts';
import { openSession, reportingRefusals, requireRunning } from './open-session.ts';
import { Refusal, type RefusalCode } from './refusal.ts';
import type { Reporter } from './report.ts';
import type { Session, Sessions } from './sessions.ts';
import type { Presented, PresentedCall, VerifiedCall, Verifier } from './verify-credential.ts';

export interface DoorOptions extends DoorAddressOptions {
  readonly verifier: Verifier;
  readonly sessions: Sessions;
  readonly reporter: Reporter;
  readonly actions: Actions;
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

export interface Door {
  /** What clients call and proofs name; without a trailing slash. */
  readonly url: string;
  /** Where it listens. */
  readonly port: number;
  /** What the broker is to list, so that clients can pin it: base64url SHA-256 of the certificate. Null without TLS. */
  certificateSha256(): string | null;
  /** Shows another certificate from the next connection on. */
  useCertificate(certificate: DoorCertificate): void;
  /** How often each refusal was said since the start, those included that are reported one by one. */
  refusals(): Readonly<Partial<Record<RefusalCode, number>>>;
  /** Takes no more calls and closes every connection. The sessions are not the door's to end. */
  close(): Promise<void>;
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
}

const paths = {
  sessions: /^\/sessions$/,
  session: /^\/sessions\/(?<id>[a-z0-9_]{1,64})$/,
  actions: /^\/sessions\/(?<id>[a-z0-9_]{1,64})\/actions$/,
  action: /^\/sessions\/(?<id>[a-z0-9_]{1,64})\/actions\/(?<scope>[A-Za-z0-9.:%-]{1,128})$/,
};

/**
 * Opens the door of contract §8: over TLS, or over plain http on loopback. Every call brings credential and proof, is
 * verified anew, and is bounded in size and time.
 * @throws RangeError for an address that nobody could use safely; whatever listening throws.
 */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const { verifier, sessions, reporter, actions, log = () => undefined } = options;
  const counts: Partial<Record<RefusalCode, number>> = {};
  const place = await listenAtDoor(options);
  const { server, url } = place;

  async function answer(call: Call): Promise<void> {
    const { method } = call.request;
    const listed = paths.actions.exec(call.path)?.groups;
    if (listed) return requireMethod(call, ['GET'], () => reporting(() => list(call, listed['id']!)));
    const action = paths.action.exec(call.path)?.groups;
    if (action) {
      return requireMethod(call, ['POST'], () => reporting(() => act(call, action['id']!, decode(action['scope']!))));
    }
    const session = paths.session.exec(call.path)?.groups;
    if (session) {
      const work = method === 'PUT' ? renew : close;
      return requireMethod(call, ['PUT', 'DELETE'], () => reporting(() => work(call, session['id']!)));
    }
    if (paths.sessions.test(call.path)) return requireMethod(call, ['POST'], () => open(call));
    throw new DoorError('not-found', 'there is nothing here');
  }

  function presentedBy({ request, path }: Call, scope: string | null = null): PresentedCall {
    const { authorization, dpop: proof } = request.headersDistinct;
    return { method: request.method!, url: `${url}${path}`, authorization, proof, scope };
  }

  const reporting = (work: () => Promise<void>) => reportingRefusals(reporter, work);

  /** No receipt, no session: whatever opens or renews one brings it. */
  function withReceipt(call: Call): Presented {
    return { ...presentedBy(call), receipt: call.request.headersDistinct['latchkey-receipt'] };
  }

  async function open(call: Call): Promise<void> {
    const session = await openSession({ verifier, sessions, reporter }, withReceipt(call));
    log('a session is open', { session: session.id, grant: session.grant });
    sendJson(call.response, 201, describe(session));
  }

  async function renew(call: Call, id: string): Promise<void> {
    const verified = await verifier.verifyCredential(withReceipt(call));
    const session = requireSession(id, verified);
    if (!sessions.renew(session, verified)) requireRunning(session);
    sendJson(call.response, 200, describe(session));
  }

  async function close(call: Call, id: string): Promise<void> {
    const session = requireSession(id, await verifier.verifyCall(presentedBy(call)));
    await sessions.end(session, 'closed');
    call.response.writeHead(204).end();
  }

  async function list(call: Call, id: string): Promise<void> {
    const session = requireSession(id, await verifier.verifyCall(presentedBy(call)));
    sendJson(call.response, 200, { actions: listActions(actions, session.scopes) });
  }

  async function act(call: Call, id: string, scope: string): Promise<void> {
    const verified = await verifier.verifyCall(presentedBy(call, scope));
    const session = requireSession(id, verified);
    if (!session.isOf(verified)) throw new DoorError('conflict', 'renew the session with this credential first');
    const action = actions.get(scope);
    if (!action) throw new DoorError('not-found', `the device knows no action \`${scope}\``);
    const args = readArguments(await readJson(call.request));
    const perform = await prepareAction(action, args);
    requireRunning(session);
    await performAction({ session, scope, perform, args, response: call.response, reporter, log });
  }

  function requireSession(id: string, verified: VerifiedCall): Session {
    const session = sessions.find(id, verified);
    if (!session) throw new DoorError('not-found', 'there is no such session of this grant, person and key');
    return session;
  }

  function count(error: unknown): void {
    if (!(error instanceof Refusal)) return;
    counts[error.code] = (counts[error.code] ?? 0) + 1;
    log('a call is refused', { code: error.code, grant: error.subject?.grant ?? null });
  }

  server.on('request', (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0]!;
    answer({ request, response, path }).catch((error: unknown) => {
      count(error);
      sendProblem(response, error);
      if (error instanceof Refusal || error instanceof DoorError) return;
      log('a call failed', { why: error instanceof Error ? error.message : 'unknown' });
    });
  });

  return {
    url,
    port: place.port,
    certificateSha256: () => place.certificateSha256(),
    useCertificate: (certificate) => place.useCertificate(certificate),
    refusals: () => ({ ...counts }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Some clients escape the colon of a scope; the proof then names the address as they wrote it. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new DoorError('not-found', 'there is nothing here');
  }
}

function requireMethod(call: Call, allowed: readonly string[], work: () => Promise<void>): Promise<void> {
  if (allowed.includes(call.request.method ?? '')) return work();
  call.response.setHeader('allow', allowed.join(', '));
  throw new DoorError('method-not-allowed', `this takes ${allowed.join(' or ')}`);
}

function describe(session: Session) {
  return {
    session: session.id,
    scopes: session.scopes,
    expiresAt: new Date(session.expiresAt()).toISOString(),
    renewBefore: new Date(session.renewBefore()).toISOString(),
  };
}
