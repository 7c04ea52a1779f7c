import { CompactRange } from './compact-range.ts';
import { hashLength, leafHash } from './merkle.ts';
import { tileHeight, tileWidth } from './tiles.ts';

/** A tile as the entries make it, to be held against the one that is served. */
export interface MadeTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Uint8Array;
}

/** The tree over a ledger's entries, computed anew while they come by in order. */
export class AuditedTree {
  readonly #range = CompactRange.empty();
  readonly #tiles = new TileBuilder();
  #made: MadeTile[] = [];

  get size(): number {
    return this.#range.size;
  }

  append(bytes: Uint8Array): void {
    this.#range.append(leafHash(bytes), this.#grow);
  }

  /** The tiles that were completed since the last call. */
  takeTiles(): MadeTile[] {
    const taken = this.#made;
    this.#made = [];
    return taken;
  }

  /** The tiles on the right edge, which are not full. */
  edgeTiles(): MadeTile[] {
    return this.#tiles.partial();
  }

  root(): Uint8Array {
    return this.#range.root();
  }

  readonly #grow = (level: number, index: number, hash: Uint8Array): void => {
    if (level % tileHeight !== 0) return;
    const full = this.#tiles.add(level / tileHeight, index, hash);
    if (full) this.#made.push(full);
  };
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
