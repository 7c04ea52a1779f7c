import { setTimeout as sleep } from 'node:timers/promises';
import type { Vault } from '../credentials/vault.ts';
import { sameHash } from '../ledger/merkle.ts';
import { treeRoot } from '../ledger/merkle-proof.ts';
import { nodesOfTiles } from '../ledger/tile-reader.ts';
import { findLedgerState, findTile, type LedgerState } from '../store/ledger.ts';
import type { Runner } from '../store/transaction.ts';
import {
  createMark,
  raiseMark,
  readMark,
  replaceMark,
  unmarked,
  type HeldMark,
  type Mark,
  type Tree,
} from './high-water-mark.ts';
import { sayOnce } from './say-once.ts';

/** The largest tree that is known to have been signed, kept outside the database. */
export interface HighWater {
  /** @throws LedgerBehind when the database's tree is smaller, or has another past. */
  check(state: LedgerState): void;
  /** Remembers a tree whose commit is known. Written every few seconds; what a crash loses of it is as much. */
  raise(state: Tree): void;
  /**
   * A witness has seen a tree of that size, signed with the ledger's key, which the database does not have. From here on
   * the database is behind, unless an operator has accepted the loss of that tree before.
   * @returns whether it counts.
   */
  contradicted(witness: string, size: number): Promise<boolean>;
  /** Writes what is not yet written, if the vault takes it soon: what it does not know then, it never learns. */
  close(): Promise<void>;
  readonly behind: () => boolean;
  /** True when the mark could not be written for so long that nothing new may be built on what it does not cover. */
  readonly overdue: () => boolean;
}

/** The database has lost what was signed before: it is an old backup, or somebody has rewritten it. */
export class LedgerBehind extends Error {
  override readonly name = 'LedgerBehind';
}

/** Milliseconds. Each write is a call of the vault, whose callers are counted. */
const writeEvery = 5_000;
const longestGoodbye = 2_000;
const lookEvery = 2_000;
/** How old the oldest tree may be that the vault does not know of: an outage of the vault that long goes unnoticed. */
const longestUnwritten = 30 * 60_000;

export interface HighWaterOptions {
  readonly vault: Vault;
  readonly runner: Runner;
  readonly warn: (message: string) => void;
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number;
}

/** Reads the mark and holds the database against it. */
export async function openHighWater(options: HighWaterOptions): Promise<HighWater> {
  const { vault, runner, warn, now = () => performance.now() } = options;
  let held: HeldMark | null = await readMark(vault);
  let mark: Mark | null = held?.mark ?? null;
  let behind = mark !== null && !(await holds(runner, mark));
  /** Since when there is something that the vault does not know. */
  let unwrittenSince: number | null = null;
  /** A witness's claim, which the vault does not hold yet. */
  let claimed = false;
  let timer: NodeJS.Timeout | undefined;

  /** Takes over what another broker, or an operator, has put in the mark's place. */
  const adopt = async (found: HeldMark): Promise<void> => {
    held = found;
    const own = mark ?? unmarked;
    const isMoved = found.mark.accepted > own.accepted;
    const { size, root } = isMoved || found.mark.size > own.size ? found.mark : own;
    mark = { ...found.mark, size, root };
    behind = isMoved ? !(await holds(runner, found.mark)) : behind || Object.keys(found.mark.claims).length > 0;
    if (!isMoved) return;
    unwrittenSince = null;
    claimed = false;
  };
  const writeClaims = async (): Promise<void> => {
    const found = await readMark(vault);
    const own = mark ?? unmarked;
    const { size, root } = found && found.mark.size > own.size ? found.mark : own;
    mark = { ...own, size, root, claims: { ...found?.mark.claims, ...own.claims } };
    await replaceMark(vault, mark);
    held = await readMark(vault);
    claimed = false;
  };
  const writeTree = async (): Promise<void> => {
    if (!mark || unwrittenSince === null || behind) return;
    const began = now();
    held ??= await createMark(vault, mark);
    if (!(await raiseMark(vault, held, mark))) {
      const found = await readMark(vault);
      if (!found) throw new Error('the ledger’s mark was taken out of the vault');
      await adopt(found);
      return arm();
    }
    // What was raised meanwhile has armed the timer.
    unwrittenSince = timer ? began : null;
  };
  const trouble = sayOnce((_, message) => warn(message));
  const arm = (): void => {
    timer ??= setTimeout(() => void flush().catch(trouble.failed), writeEvery).unref();
  };
  let writing: Promise<void> | null = null;
  const write = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    try {
      if (claimed) await writeClaims();
      await writeTree();
      trouble.worked();
    } catch (error) {
      arm();
      throw error;
    }
  };
  const flush = (): Promise<void> => (writing ??= write().finally(() => (writing = null)));

  /** Looks whether an operator has accepted the database. Other brokers' marks say nothing of that. */
  const lookAgain = async (): Promise<void> => {
    const found = await readMark(vault);
    if (found && found.mark.accepted > (mark?.accepted ?? 0) && (await holds(runner, found.mark))) await adopt(found);
  };
  let looking: Promise<void> | null = null;
  let looked = now();
  const lookNowAndThen = (): void => {
    if (looking || now() - looked < lookEvery) return;
    looked = now();
    looking = lookAgain()
      .catch(trouble.failed)
      .finally(() => (looking = null));
  };

  return {
    behind: () => behind,
    overdue: () => unwrittenSince !== null && now() - unwrittenSince > longestUnwritten,
    check(state) {
      if (
        !behind &&
        mark &&
        (state.size < mark.size || (state.size === mark.size && !sameHash(state.root, mark.root)))
      ) {
        behind = true;
      }
      if (behind) {
        lookNowAndThen();
        throw new LedgerBehind(
          'the database is behind what was signed before: run `latchkey ledger accept-rollback` once you know why',
        );
      }
    },
    raise({ size, root }) {
      if (mark && size <= mark.size) return;
      mark = { ...(mark ?? unmarked), size, root };
      unwrittenSince ??= now();
      arm();
    },
    async contradicted(witness, size) {
      const { claims, lost } = (mark ??= unmarked);
      if (size <= Math.max(lost[ownMark] ?? 0, lost[witness] ?? 0)) return false;
      behind = true;
      mark = { ...mark, claims: { ...claims, [witness]: size } };
      claimed = true;
      await writing?.catch(() => {});
      // If the vault is away, it is told later. If we stop before that, the witness says so again at the next start.
      await flush().catch(trouble.failed);
      return true;
    },
    async close() {
      const ended = new AbortController();
      const tooLate = sleep(longestGoodbye, undefined, { signal: ended.signal }).catch(() => {});
      await Promise.race([tooLate, flush().catch(trouble.failed)]);
      ended.abort();
      clearTimeout(timer);
    },
  };
}

/** In `lost`, the largest tree that is known of without any witness. */
const ownMark = 'own';

/** True when the database has all that is known to have been signed. */
async function holds(runner: Runner, mark: Mark): Promise<boolean> {
  return Object.keys(mark.claims).length === 0 && reaches(runner, mark);
}

/** True when the database's tree has the marked one as its beginning. */
async function reaches(runner: Runner, mark: Mark): Promise<boolean> {
  const state = await findLedgerState(runner);
  if (state.size < mark.size) return false;
  const read = nodesOfTiles(mark.size, async ({ level, index }) => {
    const hashes = await findTile(runner, level, index);
    if (!hashes) throw new Error(`the tile ${level}/${index} is gone`);
    return hashes;
  });
  try {
    return sameHash(Buffer.from(await treeRoot(mark.size, read)), mark.root);
  } catch {
    return false;
  }
}

/** What the database lost: the size that was signed, and the one that is left. */
export interface Rollback {
  readonly from: number;
  readonly to: number;
}

/** What the database is behind by; null when it is not. */
export async function findRollback(vault: Vault, runner: Runner): Promise<Rollback | null> {
  const held = await readMark(vault);
  if (!held || (await holds(runner, held.mark))) return null;
  const from = Math.max(held.mark.size, ...Object.values(held.mark.claims));
  return { from, to: (await findLedgerState(runner)).size };
}

/** Moves the mark back to where the database is. Brokers that wait for it go on within a second or two. */
export async function moveMarkBack(vault: Vault, runner: Runner): Promise<void> {
  const held = await readMark(vault);
  const { size, root } = await findLedgerState(runner);
  const { accepted, claims, lost, size: marked } = held?.mark ?? unmarked;
  const known = { ...lost, ...claims, [ownMark]: Math.max(marked, lost[ownMark] ?? 0) };
  await replaceMark(vault, { size, root, accepted: accepted + 1, claims: {}, lost: known });
}
