import type { LedgerKey } from '../credentials/keys.ts';
import type { EventId } from '../domain/ids.ts';
import { signCheckpoint } from '../ledger/checkpoint.ts';
import { CompactRange } from '../ledger/compact-range.ts';
import { leafHash, sameHash } from '../ledger/merkle.ts';
import { parseNote } from '../ledger/note.ts';
import { growTiles } from '../ledger/tile-growth.ts';
import {
  findTransaction,
  growTiles as writeTiles,
  lockLedgerState,
  placeWaiting,
  saveLedgerState,
  type LedgerState,
  type Waiting,
} from '../store/ledger.ts';
import type { Pool } from '../store/pool.ts';
import { inTransaction } from '../store/transaction.ts';

export interface LedgerSigner {
  readonly origin: string;
  /**
   * Those that sign now: two while one takes the place of the other.
   * @throws unavailable when one that has taken over is not at hand.
   */
  readonly privateKeys: () => readonly LedgerKey[];
}

/** An event that has got its position. */
export interface Placed {
  readonly event: EventId;
  /** Where it was in the inbox. */
  readonly seq: number;
  readonly position: number;
  readonly bytes: Buffer;
}

/** The tree as it is after a batch. */
export interface Sequenced {
  readonly size: number;
  readonly root: Buffer;
  readonly checkpoint: string;
  /** What the batch has added, in order. */
  readonly added: readonly Placed[];
  readonly transaction: { readonly xact: number; readonly oldest: number };
}

/** What the tables say is not what the ledger has signed, or not what was written: nothing is signed on top of it. */
export class LedgerDamaged extends Error {
  override readonly name = 'LedgerDamaged';
}

/**
 * Gives events that wait their positions, extends the tree over them and signs a checkpoint, all in one transaction.
 * The signature is returned after the commit is known, and nobody sees it before.
 * If we stop before the commit, nothing has happened and another broker begins anew; after it, whoever reads the state
 * finds the checkpoint.
 * @param check refuses a tree that must not be signed on.
 * @param most how many events are taken at the most.
 * @param after where the inbox is searched from, see `InboxSearch`.
 * @returns null when another broker is at it, or when there is nothing to do.
 * @throws LedgerDamaged when a leaf is not what was written, or the edge is not that of the signed root.
 */
export function sequenceBatch(
  pool: Pool,
  signer: LedgerSigner,
  check: (state: LedgerState) => void,
  most: number,
  after: number,
): Promise<Sequenced | null> {
  return inTransaction(pool, async (tx) => {
    const [state, transaction, waiting] = await Promise.all([
      lockLedgerState(tx),
      findTransaction(tx),
      placeWaiting(tx, most, after),
    ]);
    if (!state) return null;
    check(state);
    const keys = signer.privateKeys();
    // A key that has just been proved signs the tree as it is: whoever knows no other must not wait for the next event.
    if (waiting.length === 0 && isSignedByAll(state.checkpoint, keys)) return null;
    const range = CompactRange.from(state.size, state.edge);
    if (!sameHash(range.root(), state.root))
      throw new LedgerDamaged('the right edge of the tree is not that of its root');
    const { added, hashes } = checkLeaves(state.size, waiting);
    if (hashes.length > 0) writeTiles(tx, growTiles(range, hashes));
    const root = Buffer.from(range.root());
    const checkpoint = signCheckpoint(
      { origin: signer.origin, size: range.size, root },
      ...keys.map(({ privateKey }) => privateKey),
    );
    saveLedgerState(tx, { size: range.size, root, edge: range.toBytes(), checkpoint });
    return { size: range.size, root, checkpoint, added, transaction };
  });
}

/** True when a checkpoint bears the signature of each of these keys, as far as its lines say. */
export function isSignedByAll(checkpoint: string | null, keys: readonly LedgerKey[]): boolean {
  if (checkpoint === null) return false;
  const { signatures } = parseNote(checkpoint);
  return keys.every(({ vkey }) => signatures.some(({ name, id }) => vkey.startsWith(`${name}+${id}+`)));
}

/** Holds each event as it now stands against what was seen when it was written. */
function checkLeaves(
  first: number,
  waiting: readonly Waiting[],
): { readonly added: readonly Placed[]; readonly hashes: readonly Buffer[] } {
  const hashes: Buffer[] = [];
  const added = waiting.map(({ event, seq, leaf, bytes }, place) => {
    if (!bytes) throw new LedgerDamaged(`the event \`${event}\` is gone`);
    const found = leafHash(bytes);
    if (!sameHash(found, leaf)) throw new LedgerDamaged(`the event \`${event}\` is not as it was written`);
    hashes.push(found);
    return { event, seq, position: first + place, bytes };
  });
  return { added, hashes };
}
