import { Malformed } from './verdict.ts';

/**
 * The bytes behind standard base64 with padding (RFC 4648 §4), in the one form that an encoder gives them: Node's own
 * decoder takes many texts for the same bytes, and a proof that can be rewritten is two proofs.
 * @throws Malformed for anything else; `what` says in its message what was to be read.
 */
export function decodeBase64(text: string, what: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new Malformed(`${what} is not base64`);
  return bytes;
}
