import { createHash } from 'node:crypto';
import type { Request } from 'express';
import type { Idempotency } from '../broker/command.ts';
import { LatchkeyError } from '../domain/errors.ts';
import type { PersonId } from '../domain/ids.ts';
import { canonicalJson } from '../ledger/canonical.ts';

/** The `Idempotency-Key` of a call with what it is a key for; null when there is none. @throws invalid-request. */
export function idempotencyOf(request: Request, person: PersonId, body: unknown, more: string): Idempotency | null {
  const given = request.headersDistinct['idempotency-key'];
  if (!given) return null;
  const [key] = given;
  if (given.length > 1 || !key || !/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new LatchkeyError('invalid-request', '`Idempotency-Key` must be one text of 1 to 255 printable characters');
  }
  const { method, originalUrl } = request;
  const bodyHash = createHash('sha256')
    .update(canonicalJson([method, originalUrl, body ?? null, more]))
    .digest();
  return { person, key, bodyHash };
}
