import { decodeBase64 } from '../domain/base64.ts';
import {
  longestReceipt,
  receiptVerifier,
  signersOf,
  type PresentedEvent,
  type PresentedReceipt,
  type ReceiptClaims,
  type ReceiptVerdict,
} from '../ledger/receipt.ts';
import { fails, Malformed } from '../ledger/verdict.ts';
import { parseVkey } from '../ledger/vkey.ts';
import type { LedgerKeys } from './ledger-keys.ts';
import { Refusal } from './refusal.ts';
import type { DemandedWitnesses } from './witnesses.ts';

export interface ReceiptOptions {
  /** The ledger's key as the enrolment gave it; its name is the only origin that counts. Null: no receipt holds. */
  readonly ledgerKey: string | null;
  /** Follows that key to its successors; without it, the key counts for ever and no other does. */
  readonly ledgerKeys?: LedgerKeys | undefined;
  readonly witnesses?: DemandedWitnesses | undefined;
}

/** Where a credential is in the ledger. */
export interface LedgerPlace {
  readonly index: number;
  readonly checkpoint: {
    readonly size: number;
    /** base64url */
    readonly root: string;
  };
}

/**
 * Verifies the receipt that came in the `Latchkey-Receipt` headers with a credential whose signature is verified.
 * Offline, as a rule: only where the checkpoint names a key that is not known, the broker is asked, now and then, how the
 * keys follow one another.
 * @param now by the agent's clock: a key that was replaced counts until its end.
 * @throws Refusal `no-receipt` or `bad-receipt`.
 */
export type ReceiptCheck = (
  headers: readonly string[] | undefined,
  credential: { readonly hash: string; readonly claims: ReceiptClaims },
  now: number,
) => Promise<LedgerPlace>;

/**
 * Verifies the receipt of an event that is no credential's: by its type, and by what it has to say. Asks nobody, unless it
 * is signed with a key of the ledger's that is not known yet.
 * @param now the agent's clock, in milliseconds since the epoch.
 */
export type EventCheck = (
  text: string,
  type: string,
  members: Readonly<Record<string, unknown>>,
  now: number,
) => Promise<ReceiptVerdict>;

/** Makes that check. @throws Malformed or RangeError for witnesses that cannot be asked for. */
export function createEventCheck(options: ReceiptOptions): EventCheck {
  const verify = verifierOf(options);
  return (text, type, members, now) => followed(verify, { text, type, members }, now, options);
}

const longestHeader = Math.ceil(longestReceipt / 3) * 4;

/**
 * Makes the check, reading its keys once.
 * @throws Malformed or RangeError for witnesses that cannot be asked for. A ledger key that is none is no mistake of the
 *   configuration's: with it, every receipt is refused.
 */
export function createReceiptCheck(options: ReceiptOptions): ReceiptCheck {
  const verify = verifierOf(options);
  return async (headers, { hash, claims }, now) => {
    if (headers === undefined || headers.length === 0) {
      throw new Refusal('no-receipt', 'the credential comes without the receipt that it is in the ledger');
    }
    const verdict = await followed(verify, { text: readHeader(headers), hash, claims }, now, options);
    if (!verdict.ok) throw bad(verdict.reason);
    const { size, root } = verdict.checkpoint;
    return { index: verdict.index, checkpoint: { size, root: Buffer.from(root).toString('base64url') } };
  };
}

/** Once more, when the ledger's keys are found to be others than was known. */
async function followed(
  verify: Verify,
  presented: PresentedReceipt | PresentedEvent,
  now: number,
  options: ReceiptOptions,
): Promise<ReceiptVerdict> {
  const verdict = verify(presented, now);
  if (verdict.ok || !isOfUnknownKey(presented.text, options, now)) return verdict;
  return (await options.ledgerKeys!.refresh()) ? verify(presented, now) : verdict;
}

type Verify = (presented: PresentedReceipt | PresentedEvent, now: number) => ReceiptVerdict;

function verifierOf({ ledgerKey, ledgerKeys, witnesses }: ReceiptOptions): Verify {
  const origin = ledgerKey === null ? null : originOf(ledgerKey);
  if (ledgerKey === null || origin === null) return () => fails('the device was enrolled without a ledger key');
  let made = { keys: ledgerKey, verify: receiptVerifier({ ledgerKey, origin, witnesses }) };
  return (presented, now) => {
    const counting = ledgerKeys?.counting(now) ?? [ledgerKey];
    const keys = counting.join(' ');
    // Reading a key costs as much as verifying with it.
    if (made.keys !== keys) made = { keys, verify: receiptVerifier({ ledgerKey: counting, origin, witnesses }) };
    return made.verify(presented);
  };
}

function isOfUnknownKey(text: string, { ledgerKeys }: ReceiptOptions, now: number): boolean {
  if (!ledgerKeys) return false;
  const known = ledgerKeys.counting(now).map(parseVkey);
  try {
    return signersOf(text, known[0]!.name).some((id) => known.every((key) => key.id !== id));
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
}

function originOf(vkey: string): string | null {
  try {
    const { name, kind } = parseVkey(vkey);
    return kind === 'ed25519' ? name : null;
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

/** The receipt's text: of one header, in the one form that base64 and UTF-8 give it. */
function readHeader(headers: readonly string[]): string {
  const [header, another] = headers;
  if (header === undefined || another !== undefined) throw bad('there is more than one');
  if (header.length > longestHeader) throw bad(`it is longer than ${longestReceipt} bytes`);
  return readUtf8(decode(header));
}

function decode(header: string): Buffer {
  const bytes = decodeBase64(header);
  if (bytes === null) throw bad('the header is not base64');
  return bytes;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function readUtf8(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw bad('it is not UTF-8');
  }
}

function bad(why: string): Refusal {
  return new Refusal('bad-receipt', `the receipt does not hold: ${why}`);
}
