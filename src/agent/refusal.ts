import type { GrantId, PersonId } from '../domain/ids.ts';

/**
 * Every reason for which a door stays shut (contract §8), in the order in which they are looked at: the first that
 * applies is the one that is said. The first nine say that the caller is not known to be who they claim (401), the
 * others that they may not do what they ask (403).
 */
export const refusalStatus = {
  'no-credential': 401,
  'bad-signature': 401,
  'wrong-type': 401,
  'wrong-issuer': 401,
  'wrong-device': 401,
  expired: 401,
  'not-yet-valid': 401,
  'bad-proof': 401,
  'replayed-proof': 401,
  'no-receipt': 403,
  'bad-receipt': 403,
  'stale-live-grants': 403,
  'grant-not-live': 403,
  'scope-missing': 403,
  'room-in-use': 403,
} as const satisfies Record<string, 401 | 403>;

export type RefusalCode = keyof typeof refusalStatus;

export function isRefusalCode(text: string): text is RefusalCode {
  return Object.hasOwn(refusalStatus, text);
}

/** Whom a refusal is about; known only once credential, proof and receipt have been verified. */
export interface RefusalSubject {
  readonly grant: GrantId;
  readonly person: PersonId;
}

/** A door that stays shut. The message is for the caller: one sentence that gives nothing away. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  readonly status: 401 | 403;
  /** Null while nothing that the credential says can be believed. */
  readonly subject: RefusalSubject | null;

  constructor(code: RefusalCode, message: string, subject: RefusalSubject | null = null) {
    super(message);
    this.code = code;
    this.status = refusalStatus[code];
    this.subject = subject;
  }
}
