/** Every way in which a call can fail for a reason of the caller's or the moment's. Anything else is a bug. */
export const errorCodes = [
  'invalid-request',
  'invalid-dpop-proof',
  'unauthenticated',
  'not-permitted',
  'not-found',
  'method-not-allowed',
  'request-timeout',
  'conflict',
  'too-large',
  'unsupported-media-type',
  'too-many-requests',
  'internal',
  'unavailable',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** One mistake in what was sent: a JSON pointer into the body (`""` is the body itself) and what is wrong there. */
export interface InputMistake {
  readonly pointer: string;
  readonly message: string;
}

/** One reason of policy for a refusal: which rule, what it says, and what would satisfy it. */
export interface Reason {
  readonly policy: string;
  readonly message: string;
  readonly remedy: string | null;
}

export interface ErrorExtras {
  readonly errors?: readonly InputMistake[];
  readonly reasons?: readonly Reason[];
  /** Seconds after which trying again makes sense. */
  readonly retryAfter?: number;
  readonly cause?: unknown;
}

/**
 * A failure with a code of the closed list. `detail` is for whoever called: lower case, one sentence, values in
 * backticks, never a secret, never anything the caller may not know.
 */
export class LatchkeyError extends Error {
  override readonly name = 'LatchkeyError';
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors: readonly InputMistake[] | undefined;
  readonly reasons: readonly Reason[] | undefined;
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, detail: string, extras: ErrorExtras = {}) {
    super(detail, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.code = code;
    this.detail = detail;
    this.errors = extras.errors;
    this.reasons = extras.reasons;
    this.retryAfter = extras.retryAfter;
  }
}

/** A request body that is well-formed JSON but asks for something that makes no sense, with the place of the mistake. */
export function invalid(pointer: string, message: string): LatchkeyError {
  return new LatchkeyError('invalid-request', message, { errors: [{ pointer, message }] });
}
