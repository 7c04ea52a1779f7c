import type { LedgerKey } from '../credentials/keys.ts';
import type { EventId } from '../domain/ids.ts';
import { signCheckpoint } from '../ledger/checkpoint.ts';
import { CompactRange } from '../ledger/compact-range.ts';
import { leafHash, sameHash } from '../ledger/merkle.ts';
import { parseNote } from '../ledger/note.ts';
import { growTiles } from '../ledger/tile-growth.ts';
import {
  growTiles as writeTiles,
  indexSubjects,
  lockLedgerState,
  placeWaiting,
  saveLedgerState,
  type LedgerState,
  type Waiting,
} from '../store/ledger.ts';
import type { Pool } from '../store/pool.ts';
import { inTransaction, type Tx } from '../store/transaction.ts';

export interface LedgerSigner {
  readonly origin: string;
  /**
   * Those that sign now: two while one takes the place of the other.
   * @throws unavailable when one that has taken over is not at hand.
   */
  readonly privateKeys: () => readonly LedgerKey[];
}

/** The tree as it is after a batch. */
export interface Sequenced {
  readonly size: number;
  readonly root: Buffer;
  readonly added: number;
  /** Where the last of them was in the inbox; 0 when there was none. */
  readonly last: number;
  readonly checkpoint: string;
  /** Where the events of the batch are now. */
  readonly positions: ReadonlyMap<EventId, number>;
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
    const [state, waiting] = await Promise.all([lockLedgerState(tx), placeWaiting(tx, most, after)]);
    if (!state) return null;
    check(state);
    const keys = signer.privateKeys();
    // A key that has just been proved signs the tree as it is: whoever knows no other must not wait for the next event.
    if (waiting.length === 0 && isSignedByAll(state.checkpoint, keys)) return null;
    const range = CompactRange.from(state.size, state.edge);
    if (!sameHash(range.root(), state.root))
      throw new LedgerDamaged('the right edge of the tree is not that of its root');
    if (waiting.length > 0) writeTiles(tx, growTiles(range, checkLeaves(tx, state.size, waiting)));
    const root = Buffer.from(range.root());
    const checkpoint = signCheckpoint(
      { origin: signer.origin, size: range.size, root },
      ...keys.map(({ privateKey }) => privateKey),
    );
    saveLedgerState(tx, { size: range.size, root, edge: range.toBytes(), checkpoint });
    const positions = new Map(waiting.map(({ event }, place) => [event, state.size + place]));
    return { size: range.size, root, added: waiting.length, last: waiting.at(-1)?.seq ?? 0, checkpoint, positions };
  });
}

/** True when a checkpoint bears the signature of each of these keys, as far as its lines say. */
export function isSignedByAll(checkpoint: string | null, keys: readonly LedgerKey[]): boolean {
  if (checkpoint === null) return false;
  const { signatures } = parseNote(checkpoint);
  return keys.every(({ vkey }) => signatures.some(({ name, id }) => vkey.startsWith(`${name}+${id}+`)));
}

/** Holds each event as it now stands against what was seen when it was written, and takes note of what it speaks of. */
function checkLeaves(tx: Tx, first: number, waiting: readonly Waiting[]): Buffer[] {
  const subjects: { subject: string; position: number }[] = [];
  const leaves = waiting.map(({ event, leaf, bytes }, place) => {
    if (!bytes) throw new LedgerDamaged(`the event \`${event}\` is gone`);
    const found = leafHash(bytes);
    if (!sameHash(found, leaf)) throw new LedgerDamaged(`the event \`${event}\` is not as it was written`);
    const ids = new Set(bytes.toString('utf8').match(subjectPattern));
    for (const id of ids) subjects.push({ subject: id.slice(1, -1), position: first + place });
    return found;
  });
  if (subjects.length > 0) indexSubjects(tx, subjects);
  return leaves;
}

/** Tenants, persons, devices, grants, requests and sessions, as JSON strings. */
const subjectPattern = /"(?:ten|per|dev|grt|req|ses)_[0-9a-z]{26}"/g;
