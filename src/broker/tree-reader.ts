import type { NodeReader } from '../ledger/merkle-proof.ts';
import { nodesOfTiles } from '../ledger/tile-reader.ts';
import { tileHeight, tileWidth } from '../ledger/tiles.ts';
import { findTile, findTiles } from '../store/ledger.ts';
import type { Pool } from '../store/pool.ts';

/** Reads nodes of the tree of `size` leaves, for a proof about the leaf at `index`. */
export function readTree(pool: Pool, size: number, index: number): NodeReader {
  // One query for all that a proof needs as a rule: the tiles above the leaf and those on the right edge.
  const wanted: { level: number; index: number }[] = [];
  for (let level = 0, at = index, last = size - 1; last >= 0; level++) {
    [at, last] = [Math.floor(at / tileWidth), Math.floor(last / tileWidth)];
    wanted.push({ level, index: at });
    if (last !== at) wanted.push({ level, index: last });
    if (last === 0 || level * tileHeight > 56) break;
  }
  const fetched = findTiles(pool, wanted).then(
    (tiles) => new Map(tiles.map((tile) => [`${tile.level}/${tile.index}`, tile.hashes])),
  );
  return nodesOfTiles(size, async (tile) => {
    const key = `${tile.level}/${tile.index}`;
    const hashes = (await fetched).get(key) ?? (await findTile(pool, tile.level, tile.index));
    if (!hashes) throw new Error(`the tile ${key} is gone`);
    return hashes;
  });
}
