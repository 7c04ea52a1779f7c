import type { CompactRange } from './compact-range.ts';
import { tileHeight, tileWidth } from './tiles.ts';

/** What is to be appended to the bytes of one tile of hashes. */
export interface TileGrowth {
  readonly level: number;
  readonly index: number;
  /** How many hashes the tile had before; 0 for one that begins. */
  readonly from: number;
  readonly hashes: Buffer;
}

/**
 * Appends leaves to the range and returns what each tile gains by them: exactly the `changedTiles` between the size
 * before and after, in their order. A tile only ever gets longer, so nothing has to be read to write it.
 */
export function growTiles(range: CompactRange, leafHashes: Iterable<Uint8Array>): TileGrowth[] {
  const levels: { first: number; hashes: Uint8Array[] }[] = [];
  for (const leafHash of leafHashes) {
    range.append(leafHash, (level, index, hash) => {
      if (level % tileHeight === 0) (levels[level / tileHeight] ??= { first: index, hashes: [] }).hashes.push(hash);
    });
  }
  return levels.flatMap(({ first, hashes }, level) => splitIntoTiles(level, first, hashes));
}

function splitIntoTiles(level: number, first: number, hashes: readonly Uint8Array[]): TileGrowth[] {
  const tiles: TileGrowth[] = [];
  for (let at = 0; at < hashes.length;) {
    const from = (first + at) % tileWidth;
    const count = Math.min(tileWidth - from, hashes.length - at);
    tiles.push({
      level,
      index: (first + at - from) / tileWidth,
      from,
      hashes: Buffer.concat(hashes.slice(at, at + count)),
    });
    at += count;
  }
  return tiles;
}
