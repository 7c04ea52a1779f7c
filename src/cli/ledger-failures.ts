import { LatchkeyError } from '../domain/errors.ts';
import { Failure } from './failure.ts';

/** A mistake in the arguments, with how they are written. */
export function usageFailure(error: unknown, usage: string): Failure {
  if (error instanceof Failure) return error;
  return new Failure('usage', error instanceof Error ? error.message : String(error), { hint: usage });
}

/** What a database answered, in words that never carry its URL; `rights` says which role would do. */
export function databaseFailure(error: unknown, rights: string): unknown {
  if (error instanceof LatchkeyError) return new Failure('unreachable', error.message, { cause: error });
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  if (code === '42501') {
    return new Failure('refused', `the database does not let this role: ${(error as Error).message}`, {
      hint: rights,
      cause: error,
    });
  }
  // SQLSTATE class 28: a wrong user or password.
  if (typeof code === 'string' && code.startsWith('28')) {
    return new Failure('refused', 'the database does not accept the user or the password of the URL', { cause: error });
  }
  return error;
}
