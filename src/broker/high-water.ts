import { Buffer } from 'node:buffer';
import type { Vault } from '../credentials/vault.ts';
import { sameHash } from '../ledger/merkle.ts';
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

interface Mark {
  readonly size: number;
  readonly root: Buffer;
}

/** Reads the mark and holds the database against it. */
export async function openHighWater(vault: Vault, runner: Runner, warn: (message: string) => void): Promise<HighWater> {
  let mark = await readMark(vault);
  let behind = mark !== null && !(await reaches(runner, mark));
  let written = mark;
  let writing: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;

  const write = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    if (!mark || mark === written || behind) return;
    const next = mark;
    await vault.replace(secretName, JSON.stringify({ size: next.size, root: next.root.toString('base64') }));
    written = next;
  };
  const flush = (): Promise<void> => (writing ??= write().finally(() => (writing = null)));

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
        throw new LedgerBehind(
          'the database is behind what was signed before: run `latchkey ledger accept-rollback` once you know why',
        );
      }
    },
    raise({ size, root }) {
      if (mark && size <= mark.size) return;
      mark = { size, root };
      timer ??= setTimeout(() => void flush().catch((error: unknown) => warn(String(error))), writeEvery).unref();
    },
    flush,
  };
}

async function readMark(vault: Vault): Promise<Mark | null> {
  const text = await vault.get(secretName);
  if (text === null) return null;
  const { size, root } = JSON.parse(text) as { size: unknown; root: unknown };
  if (typeof size !== 'number' || typeof root !== 'string')
    throw new Error(`the secret \`${secretName}\` is not a mark`);
  return { size, root: Buffer.from(root, 'base64') };
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

/** Accepts the database as it is: the mark is forgotten, and the next checkpoint sets a new one. */
export async function acceptRollback(vault: Vault, runner: Runner): Promise<{ from: number | null; to: number }> {
  const mark = await readMark(vault);
  const state = await findLedgerState(runner);
  await vault.replace(secretName, JSON.stringify({ size: state.size, root: state.root.toString('base64') }));
  return { from: mark?.size ?? null, to: state.size };
}
