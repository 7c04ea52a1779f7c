import { decodeBase64url } from './base64.ts';
import { parseStrictJson } from './strict-json.ts';

/** A JSON object as it was read: own members only, nothing inherited counts. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What a well-formed compact JWS says. Nothing of it is to be believed before the signature is verified. */
export interface CompactJws {
  readonly header: JsonObject & { readonly alg: string; readonly typ?: string; readonly kid?: string };
  readonly payload: JsonObject;
}

export interface CompactJwsOptions {
  /** The longest text that is looked at, in characters. */
  readonly maxLength: number;
  /** Only a DPoP proof may bring its own key (RFC 9449 §4.2); everywhere else a `jwk` header is refused. */
  readonly allowJwk?: boolean;
}

/** Why a text is no compact JWS that Latchkey reads. The message is one sentence and holds nothing of the text. */
export class CompactJwsError extends Error {
  override readonly name = 'CompactJwsError';
}

/**
 * Header members that would have a verifier fetch or believe a key of the sender's choice (RFC 8725 §3.10), change
 * what is signed (RFC 7797), demand extensions (RFC 7515 §4.1.11), or that belong to encryption.
 */
const refusedMembers = ['crit', 'b64', 'jku', 'x5u', 'x5c', 'enc', 'zip'];

/**
 * Requires a JWT in the one compact form it can have: three canonical base64url parts (RFC 7515 §2: no padding, no
 * stray trailing bits, no whitespace), header and payload being JSON objects in UTF-8 without a member named twice,
 * and none of the header members that Latchkey never honours. JWE (five parts) is refused. The signature is NOT
 * verified here: this comes before, so that one signature belongs to one text.
 * @throws CompactJwsError naming the first thing that is wrong.
 */
export function requireCanonicalCompactJws(text: string, options: CompactJwsOptions): CompactJws {
  if (typeof text !== 'string' || text === '') throw new CompactJwsError('the token is empty');
  if (text.length > options.maxLength) throw new CompactJwsError('the token is too long');
  const parts = text.split('.', 6);
  if (parts.length === 5) throw new CompactJwsError('an encrypted token is not accepted');
  if (parts.length !== 3) throw new CompactJwsError('the token does not have three parts');
  const [header, payload, signature] = parts as [string, string, string];
  decodePart(signature, 'signature');
  const bytes = decodePart(payload, 'payload');
  return { header: readHeader(header, options), payload: readObject(bytes, 'payload') };
}

type PartName = 'header' | 'payload' | 'signature';

/**
 * Headers that were read before, by their base64url: a key writes the same one each time, and what a header says follows
 * from its text alone. INVARIANT: frozen, since many tokens share one.
 */
const knownHeaders = new Map<string, CompactJws['header']>();
const maxKnownHeaders = 256;
const longestKnownHeader = 1_024;

function readHeader(part: string, { allowJwk = false }: CompactJwsOptions): CompactJws['header'] {
  const header = knownHeaders.get(part) ?? learnHeader(decodePart(part, 'header'));
  if (!allowJwk && Object.hasOwn(header, 'jwk')) {
    throw new CompactJwsError('a token that brings its own key in `jwk` is not accepted');
  }
  return header;
}

function learnHeader(bytes: Buffer): CompactJws['header'] {
  const header = freeze(checkHeader(readObject(bytes, 'header')));
  if (bytes.length > longestKnownHeader) return header;
  // Encoded anew, or the part would keep the whole token that it was cut from.
  knownHeaders.set(bytes.toString('base64url'), header);
  if (knownHeaders.size > maxKnownHeaders) knownHeaders.delete(knownHeaders.keys().next().value!);
  return header;
}

function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) if (typeof member === 'object' && member !== null) freeze(member);
  return Object.freeze(value);
}

function decodePart(part: string, name: PartName): Buffer {
  const bytes = decodeBase64url(part);
  if (bytes === null || bytes.length === 0) throw new CompactJwsError(`the token's ${name} is not canonical base64url`);
  return bytes;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function readObject(bytes: Buffer, name: PartName): JsonObject {
  let value: unknown;
  try {
    value = parseStrictJson(utf8.decode(bytes));
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message : 'is not UTF-8';
    throw new CompactJwsError(`the token's ${name} ${why}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CompactJwsError(`the token's ${name} is not a JSON object`);
  }
  return value as JsonObject;
}

function checkHeader(header: JsonObject): CompactJws['header'] {
  const refused = refusedMembers.find((member) => Object.hasOwn(header, member));
  if (refused !== undefined) throw new CompactJwsError(`a token with \`${refused}\` in its header is not accepted`);
  if (!isText(ownMember(header, 'alg'))) throw new CompactJwsError("the token's header names no `alg`");
  for (const member of ['typ', 'kid']) {
    const value = ownMember(header, member);
    if (value !== undefined && !isText(value)) throw new CompactJwsError(`the token's \`${member}\` is not a text`);
  }
  return header as CompactJws['header'];
}

/** A member of an object that came as JSON; what the prototype offers is not a member. */
export function ownMember(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
