import { decodeBase64 as decode } from '../domain/base64.ts';
import { Malformed } from './verdict.ts';

/**
 * The bytes behind standard base64 with padding (RFC 4648 §4), in the one form that an encoder gives them.
 * @throws Malformed for anything else; `what` says in its message what was to be read.
 */
export function decodeBase64(text: string, what: string): Buffer {
  const bytes = decode(text);
  if (bytes === null) throw new Malformed(`${what} is not base64`);
  return bytes;
}
