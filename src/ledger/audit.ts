import { Offence } from './audit/offence.ts';
import { Rules } from './audit/rules.ts';
import { shapeOf } from './audit/shapes.ts';
import { parseCanonical } from './canonical-check.ts';
import { CompactRange } from './compact-range.ts';
import type { LedgerEvent } from './events.ts';
import { hashLength, leafHash, sameHash } from './merkle.ts';
import { tileHeight, tileWidth } from './tiles.ts';
import { Malformed } from './verdict.ts';

export { Offence } from './audit/offence.ts';

/** A tile as the entries make it, to be held against the one that is served. */
export interface MadeTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Buffer;
}

/** The size and root that something says of the ledger. */
export interface TreeHead {
  readonly size: number;
  readonly root: Uint8Array;
}

/** What an audit noticed that is no offence. */
export interface Remarks {
  /** Events of types that are not known here: nothing but their form was checked. */
  readonly unknownTypes: number;
  /** Sessions that were reported so late that their credentials are no longer remembered. */
  readonly lateSessions: number;
}

/** Re-computes a ledger from its entries, in order, and checks the rules between them. */
export interface Audit {
  /** How many entries were taken so far. */
  readonly size: number;
  /**
   * Takes the next entry: its very bytes, or null when it is gone.
   * @throws Offence when it does not hold.
   */
  entry(bytes: Uint8Array | null): void;
  /** The tiles that were completed since the last call. */
  takeTiles(): MadeTile[];
  /** The tiles on the right edge, which are not full. */
  edgeTiles(): MadeTile[];
  /** Holds the tree as it is now against what is said of it. @throws Offence naming the first entry in doubt. */
  requireHead(head: TreeHead, what: string): void;
  /** Ends the audit. @throws Offence when something stayed open that should not. */
  finish(): Remarks;
}

/** Begins an audit at the empty tree. Memory is bounded by what is open at one time, not by the ledger's length. */
export function createAudit(): Audit {
  const range = CompactRange.empty();
  const rules = new Rules();
  const tiles = new TileBuilder();
  let unknownTypes = 0;
  /** Entries before this are those that some known head speaks of. */
  let vouched = 0;
  let made: MadeTile[] = [];

  const grow = (level: number, index: number, hash: Uint8Array): void => {
    if (level % tileHeight !== 0) return;
    const full = tiles.add(level / tileHeight, index, hash);
    if (full) made.push(full);
  };

  return {
    get size() {
      return range.size;
    },
    entry(bytes) {
      const index = range.size;
      if (bytes === null) throw new Offence(index, 'the entry is gone');
      const event = readEvent(index, bytes);
      const { known, wrong } = shapeOf(event);
      if (wrong !== null) throw new Offence(index, `its member \`${wrong}\` is not what such an event holds`);
      const broken = known ? rules.check(index, event as unknown as LedgerEvent) : null;
      if (broken !== null) throw new Offence(index, broken);
      if (!known) unknownTypes++;
      range.append(leafHash(bytes), grow);
    },
    takeTiles() {
      const taken = made;
      made = [];
      return taken;
    },
    edgeTiles: () => tiles.partial(),
    requireHead({ size, root }, what) {
      if (size !== range.size)
        throw new Offence(range.size, `${what} is of ${size} entries, and here are ${range.size}`);
      if (!sameHash(range.root(), root)) {
        throw new Offence(
          vouched,
          `${what} has another root than these entries: from here on none is vouched for`,
          false,
        );
      }
      vouched = size;
    },
    finish() {
      const unsettled = rules.sessions.firstUnsettled();
      if (unsettled) throw new Offence(unsettled.index, unsettled.reason);
      return { unknownTypes, lateSessions: rules.sessions.passed };
    },
  };
}

function readEvent(index: number, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return parseCanonical(bytes);
  } catch (error) {
    if (error instanceof Malformed) throw new Offence(index, `the entry ${error.message}`);
    throw error;
  }
}

/** Gathers the hashes of the tiles that grow: one for each level. */
class TileBuilder {
  readonly #levels: { index: number; width: number; hashes: Buffer }[] = [];

  /** @returns the tile when this hash filled it. */
  add(level: number, index: number, hash: Uint8Array): MadeTile | null {
    const tile = (this.#levels[level] ??= { index: 0, width: 0, hashes: fresh() });
    tile.hashes.set(hash, (index % tileWidth) * hashLength);
    tile.width++;
    if (tile.width < tileWidth) return null;
    const full = { level, index: tile.index, hashes: tile.hashes };
    this.#levels[level] = { index: tile.index + 1, width: 0, hashes: fresh() };
    return full;
  }

  partial(): MadeTile[] {
    return this.#levels.flatMap(({ index, width, hashes }, level) =>
      width === 0 ? [] : [{ level, index, hashes: hashes.subarray(0, width * hashLength) }],
    );
  }
}

const fresh = (): Buffer => Buffer.alloc(tileWidth * hashLength);

/** The first entry that a tile that is served does not cover as it should; null when it is as the entries make it. */
export function firstDifference(tile: MadeTile, served: Uint8Array | null): number | null {
  if (served && Buffer.compare(tile.hashes, served) === 0) return null;
  const slots = Array.from({ length: tile.hashes.length / hashLength }, (_, slot) => slot * hashLength);
  const differs = (at: number): boolean =>
    !served || Buffer.compare(tile.hashes.subarray(at, at + hashLength), served.subarray(at, at + hashLength)) !== 0;
  // A tile that is only longer than it should be is in doubt as a whole.
  const slot = Math.max(0, slots.findIndex(differs));
  return (tile.index * tileWidth + slot) * tileWidth ** tile.level;
}
