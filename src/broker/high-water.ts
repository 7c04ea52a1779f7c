import { Buffer } from 'node:buffer';
import type { Vault } from '../credentials/vault.ts';
import { emptyRoot, sameHash } from '../ledger/merkle.ts';
import { treeRoot } from '../ledger/merkle-proof.ts';
import { nodesOfTiles } from '../ledger/tile-reader.ts';
import { findLedgerState, findTile, type LedgerState } from '../store/ledger.ts';
import type { Runner } from '../store/transaction.ts';

/** The largest tree that is known to have been signed, kept outside the database. */
export interface HighWater {
  /** @throws LedgerBehind when the database's tree is smaller, or has another past. */
  check(state: LedgerState): void;
  /** Remembers a tree whose commit is known. Written at most once a second; what a crash loses of it is one second. */
  raise(state: { readonly size: number; readonly root: Buffer }): void;
  /**
   * A witness has seen a tree of that size, signed with the ledger's key, which the database does not have. From here on
   * the database is behind, unless an operator has accepted the loss of that tree before.
   * @returns whether it counts.
   */
  contradicted(witness: string, size: number): Promise<boolean>;
  /** Writes what is not yet written. */
  flush(): Promise<void>;
  readonly behind: () => boolean;
}

/** The database has lost what was signed before: it is an old backup, or somebody has rewritten it. */
export class LedgerBehind extends Error {
  override readonly name = 'LedgerBehind';
}

const secretName = 'ledger-high-water';
const writeEvery = 1_000;
const lookEvery = 1_000;

interface Mark {
  readonly size: number;
  readonly root: Buffer;
  /** How often an operator has accepted a database that was behind. */
  readonly accepted: number;
  /** By the key of a witness, the size of the tree that it has seen and the database does not have. */
  readonly claims: Sizes;
  /** What was lost with an operator's word: who still knows it says nothing new. A witness that lied is passed over alone. */
  readonly lost: Sizes;
}

type Sizes = Readonly<Record<string, number>>;
const unmarked: Mark = { size: 0, root: emptyRoot, accepted: 0, claims: {}, lost: {} };
/** In `lost`, the largest tree that is known of without any witness. */
const ownMark = 'own';

/** Reads the mark and holds the database against it. */
export async function openHighWater(vault: Vault, runner: Runner, warn: (message: string) => void): Promise<HighWater> {
  let mark = await readMark(vault);
  let behind = mark !== null && !(await holds(runner, mark));
  let written = mark;
  let writing: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;

  const write = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    if (!mark || mark === written || behind) return;
    const next = mark;
    await writeMark(vault, next);
    written = next;
  };
  const flush = (): Promise<void> => (writing ??= write().finally(() => (writing = null)));

  /** Looks whether an operator has accepted the database. Other brokers' marks say nothing of that. */
  const lookAgain = async (): Promise<void> => {
    const found = await readMark(vault);
    if (!found || found.accepted <= (mark?.accepted ?? 0) || !(await holds(runner, found))) return;
    mark = found;
    written = found;
    behind = false;
  };
  let looking: Promise<void> | null = null;
  let looked = performance.now();
  const lookNowAndThen = (): void => {
    if (looking || performance.now() - looked < lookEvery) return;
    looked = performance.now();
    looking = lookAgain()
      .catch((error: unknown) => warn(String(error)))
      .finally(() => (looking = null));
  };

  return {
    behind: () => behind,
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
      timer ??= setTimeout(() => void flush().catch((error: unknown) => warn(String(error))), writeEvery).unref();
    },
    async contradicted(witness, size) {
      const { claims, lost } = (mark ??= unmarked);
      if (size <= Math.max(lost[ownMark] ?? 0, lost[witness] ?? 0)) return false;
      behind = true;
      mark = { ...mark, claims: { ...claims, [witness]: size } };
      await writing;
      await writeMark(vault, mark);
      return true;
    },
    flush,
  };
}

async function readMark(vault: Vault): Promise<Mark | null> {
  const text = await vault.get(secretName);
  if (text === null) return null;
  const { size, root, accepted = 0, claims = {}, lost = {} } = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const isMark =
    [size, accepted].every(Number.isSafeInteger) && typeof root === 'string' && [claims, lost].every(areSizes);
  if (!isMark) throw new Error(`the secret \`${secretName}\` is not a mark`);
  return {
    size: size as number,
    root: Buffer.from(root, 'base64'),
    accepted: accepted as number,
    claims: claims as Sizes,
    lost: lost as Sizes,
  };
}

function areSizes(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every(Number.isSafeInteger);
}

async function writeMark(vault: Vault, { root, ...rest }: Mark): Promise<void> {
  await vault.replace(secretName, JSON.stringify({ ...rest, root: root.toString('base64') }));
}

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
  const mark = await readMark(vault);
  if (!mark || (await holds(runner, mark))) return null;
  return { from: Math.max(mark.size, ...Object.values(mark.claims)), to: (await findLedgerState(runner)).size };
}

/** Moves the mark back to where the database is. Brokers that wait for it go on within a second or two. */
export async function moveMarkBack(vault: Vault, runner: Runner): Promise<void> {
  const mark = await readMark(vault);
  const { size, root } = await findLedgerState(runner);
  const { accepted, claims, lost, size: marked } = mark ?? unmarked;
  const known = { ...lost, ...claims, [ownMark]: Math.max(marked, lost[ownMark] ?? 0) };
  await writeMark(vault, { size, root, accepted: accepted + 1, claims: {}, lost: known });
}
