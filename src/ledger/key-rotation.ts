import { parseCanonical } from './canonical-check.ts';
import { openCheckpoint, type Checkpoint, type Witnesses } from './checkpoint.ts';
import { leafHash } from './merkle.ts';
import { verifyInclusion } from './merkle-verify.ts';
import { parseProofText } from './proof-text.ts';
import { longestReceipt, longestReceiptEvent } from './receipt.ts';
import { Malformed } from './verdict.ts';
import { parseVkey, type VerifierKey } from './vkey.ts';

/** That one key of a ledger takes the place of another, as the key before has signed it. */
export interface KeyRotation {
  readonly from: VerifierKey;
  readonly to: VerifierKey;
  /** The successor as a vkey. */
  readonly successor: string;
  /** From then on what the key before has signed alone counts no more (milliseconds since the epoch). */
  readonly until: number;
  /** Where the event lies, and the tree that holds it. */
  readonly index: number;
  readonly event: Uint8Array;
  readonly checkpoint: Checkpoint;
}

/**
 * Reads the proof that a key has a successor: the receipt of a `key.rotated` event, under a checkpoint that this very key
 * has signed. The proof is whole in itself: who served it does not matter.
 * @param proof a C2SP `tlog-proof@v1` with the event in its `extra` line.
 * @param key the key that is trusted; its name is the origin.
 * @param witnesses who must have cosigned that checkpoint, where that is demanded.
 * @throws Malformed with the first thing that does not hold.
 */
export function readRotation(proof: string, key: VerifierKey, witnesses?: Witnesses): KeyRotation {
  if (Buffer.byteLength(proof) > longestReceipt)
    throw new Malformed(`the proof is longer than ${longestReceipt} bytes`);
  const { extra, index, hashes, checkpoint: signed } = parseProofText(proof);
  if (!extra) throw new Malformed('the proof does not carry its event');
  if (extra.length > longestReceiptEvent) throw new Malformed(`the event is longer than ${longestReceiptEvent} bytes`);
  const { successor, until } = readSuccessor(extra, key);
  const { checkpoint } = openCheckpoint(signed, { origin: key.name, ledgerKeys: [key], witnesses });
  const root = { index, size: checkpoint.size, leafHash: leafHash(extra), proof: hashes, root: checkpoint.root };
  const inclusion = verifyInclusion(root);
  if (!inclusion.ok) throw new Malformed(inclusion.reason);
  return { from: key, to: readLedgerKey(successor), successor, until, index, event: extra, checkpoint };
}

/** Who a `key.rotated` event says follows upon that key. */
function readSuccessor(bytes: Uint8Array, key: VerifierKey): { successor: string; until: number } {
  const event = parseCanonical(bytes);
  const field = (name: string): unknown => (Object.hasOwn(event, name) ? event[name] : undefined);
  if (field('v') !== 1 || field('type') !== 'key.rotated' || field('key') !== 'ledger') {
    throw new Malformed('the event is not `key.rotated` of the ledger’s key');
  }
  if (!isSameKey(readLedgerKey(field('from')), key)) throw new Malformed('the event replaces another key');
  const successor = field('to');
  const to = readLedgerKey(successor);
  if (to.name !== key.name) throw new Malformed('the successor is of another origin');
  if (isSameKey(to, key)) throw new Malformed('the key is its own successor');
  return { successor: successor as string, until: readInstant(field('until')) };
}

/** Reads a ledger's key. @throws Malformed when it is none. */
export function readLedgerKey(text: unknown): VerifierKey {
  const key = parseVkey(typeof text === 'string' ? text : '');
  if (key.kind === 'ed25519') return key;
  throw new Malformed('the key is a witness’s, not a ledger’s');
}

/** True for one and the same key: its id alone is too short to tell. */
export function isSameKey(a: VerifierKey, b: VerifierKey): boolean {
  return a.name === b.name && a.kind === b.kind && a.bytes.equals(b.bytes);
}

function readInstant(value: unknown): number {
  const time = typeof value === 'string' && value.length === 24 ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new Malformed('the event does not say until when the key before counts');
}
