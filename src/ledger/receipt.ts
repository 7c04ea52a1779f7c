import { createHash } from 'node:crypto';
import { parseCanonical } from './canonical-check.ts';
import { openCheckpoint, type Checkpoint, type CheckpointTrust } from './checkpoint.ts';
import { leafHash } from './merkle.ts';
import { verifyInclusion } from './merkle-verify.ts';
import { parseNote } from './note.ts';
import { formatProofText, parseProofText, type ProofText } from './proof-text.ts';
import { fails, Malformed, type Failure } from './verdict.ts';
import { parseVkey, type SignatureKind, type VerifierKey } from './vkey.ts';

/** The longest event that a receipt may carry, in bytes (contract §6). */
export const longestReceiptEvent = 2_048;

/**
 * The longest receipt, in bytes: such an event, a proof in the largest tree, and a checkpoint with two dozen
 * cosignatures. As base64 it still fits a header.
 */
export const longestReceipt = 8_192;

/** Whose receipts are believed; of the verifier's own configuration and its enrolment, never of the receipt. */
export interface ReceiptTrust {
  /** The ledger's key as a C2SP vkey; several while one takes the place of another. */
  readonly ledgerKey: string | readonly string[];
  readonly origin: string;
  /** Witnesses' keys as C2SP vkeys of type 0x04, and how many of them must have cosigned. */
  readonly witnesses?: { readonly keys: readonly string[]; readonly needed: number } | undefined;
}

/** What the credential says, as its verified payload has it (contract §6). */
export interface ReceiptClaims {
  readonly jti: string;
  readonly grant: string;
  readonly aud: string;
  readonly tenant: string;
  readonly sub: string;
  readonly scope: string;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
}

/** A receipt and the credential it came with. */
export interface PresentedReceipt {
  readonly text: string;
  /** base64url SHA-256 of the credential's compact form, whose signature is verified. */
  readonly hash: string;
  readonly claims: ReceiptClaims;
}

/** A receipt of another event than a credential's, and what that has to say. */
export interface PresentedEvent {
  readonly text: string;
  readonly type: string;
  /** Members, each of them needed, and their values: texts and numbers. */
  readonly members: Readonly<Record<string, unknown>>;
}

/** What a receipt proves: where the credential's event lies, and in which tree. Else the first thing that does not hold. */
export type ReceiptVerdict =
  | {
      readonly ok: true;
      readonly index: number;
      readonly checkpoint: Checkpoint;
      /** The checkpoint as it was signed. */
      readonly signed: string;
    }
  | Failure;

/**
 * Makes a verifier that reads its keys once.
 * @throws Malformed when a key is none, or is of another kind than its use asks for; RangeError when more witnesses
 *   are needed than there are.
 */
export function receiptVerifier(trust: ReceiptTrust): (presented: PresentedReceipt | PresentedEvent) => ReceiptVerdict {
  const { origin, witnesses } = trust;
  const checkpoints: CheckpointTrust = {
    origin,
    ledgerKeys: [trust.ledgerKey].flat().map((vkey) => readKey(vkey, 'ed25519')),
    witnesses: witnesses && readWitnesses(witnesses),
  };
  return (presented) => {
    try {
      return verify(presented, checkpoints);
    } catch (error) {
      if (error instanceof Malformed) return fails(error.message);
      throw error;
    }
  };
}

/**
 * The ids of the keys under which a receipt's checkpoint says to be signed by that ledger; nothing of it is verified.
 * @throws Malformed when it is no receipt.
 */
export function signersOf(receipt: string, origin: string): string[] {
  const { signatures } = parseNote(parseProofText(receipt).checkpoint);
  return signatures.filter(({ name }) => name === origin).map(({ id }) => id);
}

/** Verifies one receipt of a credential that is at hand as it was signed: see `receiptVerifier`. */
export function verifyReceipt(
  asked: Omit<PresentedReceipt, 'hash'> & ReceiptTrust & { readonly jwt: string },
): ReceiptVerdict {
  return receiptVerifier(asked)({ ...asked, hash: createHash('sha256').update(asked.jwt).digest('base64url') });
}

/** The checklist of contract §6, cheapest first. */
function verify(presented: PresentedReceipt | PresentedEvent, trust: CheckpointTrust): ReceiptVerdict {
  const { text } = presented;
  if (Buffer.byteLength(text) > longestReceipt) return fails(`the receipt is longer than ${longestReceipt} bytes`);
  const proof = parseProofText(text);
  if (!proof.extra) return fails('the receipt does not carry its event');
  if (proof.extra.length > longestReceiptEvent) return fails(`the event is longer than ${longestReceiptEvent} bytes`);
  const event = readEvent(proof.extra);
  const mismatch =
    'members' in presented ? findOther(event, presented) : findMismatch(event, presented.hash, presented.claims);
  if (mismatch) return fails(mismatch);
  const { checkpoint } = openCheckpoint(proof.checkpoint, trust);
  const inclusion = verifyInclusion({
    index: proof.index,
    size: checkpoint.size,
    leafHash: leafHash(proof.extra),
    proof: proof.hashes,
    root: checkpoint.root,
  });
  return inclusion.ok ? { ok: true, index: proof.index, checkpoint, signed: proof.checkpoint } : inclusion;
}

/** The event behind the bytes, which have to be the one form that RFC 8785 gives it. */
function readEvent(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return parseCanonical(bytes);
  } catch (error) {
    throw error instanceof Malformed ? new Malformed(`the event ${error.message}`) : error;
  }
}

const audiencePrefix = 'urn:latchkey:device:';

/** Names the first field in which event and credential differ, or null: a harmless leaf covers no powerful token. */
function findMismatch(event: Readonly<Record<string, unknown>>, hash: string, claims: ReceiptClaims): string | null {
  const field = (name: string) => (Object.hasOwn(event, name) ? event[name] : undefined);
  if (field('v') !== 1 || field('type') !== 'credential.issued') return 'the event is not `credential.issued`';
  const expected: readonly (readonly [name: string, value: unknown])[] = [
    ['credential', hash],
    ['jti', claims.jti],
    ['grant', claims.grant],
    ['device', claims.aud.startsWith(audiencePrefix) ? claims.aud.slice(audiencePrefix.length) : undefined],
    ['tenant', claims.tenant],
    ['person', claims.sub],
    ['iat', claims.iat],
    ['nbf', claims.nbf],
    ['exp', claims.exp],
  ];
  // Undefined on both sides is a field that is missing on both, not one that is equal.
  const different = expected.find(([name, value]) => value === undefined || field(name) !== value);
  if (different) return `\`${different[0]}\` of the event is not that of the credential`;
  return isSameList(field('scopes'), claims.scope.split(' '))
    ? null
    : '`scopes` of the event is not that of the credential';
}

/** Names the first member in which an event differs from what it has to say, or null. */
function findOther(event: Readonly<Record<string, unknown>>, { type, members }: PresentedEvent): string | null {
  const expected = Object.entries({ v: 1, type, ...members });
  const different = expected.find(([name, value]) => !Object.hasOwn(event, name) || event[name] !== value);
  return different ? `\`${different[0]}\` of the event is not what it has to be` : null;
}

function isSameList(value: unknown, expected: readonly string[]): boolean {
  if (!Array.isArray(value) || value.length !== expected.length) return false;
  return expected.every((item, at) => value[at] === item);
}

/**
 * The receipt for the event at `index`.
 * @throws RangeError when it would be longer than a verifier takes.
 */
export function formatReceipt({
  event,
  index,
  hashes,
  checkpoint,
}: Omit<ProofText, 'extra'> & {
  /** The very bytes of the leaf. */
  readonly event: Uint8Array;
}): string {
  if (event.length > longestReceiptEvent) {
    throw new RangeError(`the event is ${event.length} bytes long, at most ${longestReceiptEvent}`);
  }
  const text = formatProofText({ extra: event, index, hashes, checkpoint });
  const length = Buffer.byteLength(text);
  if (length > longestReceipt) throw new RangeError(`the receipt is ${length} bytes long, at most ${longestReceipt}`);
  return text;
}

function readWitnesses(witnesses: NonNullable<ReceiptTrust['witnesses']>): CheckpointTrust['witnesses'] {
  const keys = witnesses.keys.map((vkey) => readKey(vkey, 'cosignature'));
  const distinct = new Set(keys.map(({ bytes }) => bytes.toString('hex'))).size;
  if (!Number.isInteger(witnesses.needed) || witnesses.needed < 1 || witnesses.needed > distinct) {
    throw new RangeError(`${witnesses.needed} of ${distinct} witnesses cannot be asked for`);
  }
  return { keys, needed: witnesses.needed };
}

function readKey(vkey: string, kind: SignatureKind): VerifierKey {
  const key = parseVkey(vkey);
  if (key.kind === kind) return key;
  throw new Malformed(`the key \`${key.name}\` is not one for ${kind === 'ed25519' ? 'checkpoints' : 'cosignatures'}`);
}
