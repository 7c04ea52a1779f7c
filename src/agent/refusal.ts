import type { GrantId, PersonId } from '../domain/ids.ts';
import { refusalStatus, type RefusalCode } from '../domain/refusal-code.ts';

export { isRefusalCode, refusalStatus, type RefusalCode } from '../domain/refusal-code.ts';

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
