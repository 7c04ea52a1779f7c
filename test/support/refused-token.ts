import assert from 'node:assert/strict';
import { LatchkeyError } from '../../src/domain/errors.ts';
import type { IdentityVerifier } from '../../src/http/identity/identity-verifier.ts';

/** Requires that a token is refused for this reason, and that the reason is for the log and not for the caller. */
export async function refusedToken(verifier: IdentityVerifier, token: string, reason: RegExp): Promise<void> {
  await assert.rejects(verifier.verify(token), (error) => {
    assert.ok(error instanceof LatchkeyError, String(error));
    assert.equal(error.code, 'unauthenticated');
    assert.match((error.cause as Error).message, reason);
    assert.match(error.detail, /^the access token (is not accepted here|has expired): sign in again$/);
    return true;
  });
}
