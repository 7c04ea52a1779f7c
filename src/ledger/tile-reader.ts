import { hashLength, rootOfLeaves } from './merkle.ts';
import type { NodeReader } from './merkle-proof.ts';
import { parseHashTile, tileHeight, tileWidth, widthOf } from './tiles.ts';

/** A tile of hashes as a tree of some size has it. */
export interface HashTile {
  readonly level: number;
  readonly index: number;
  readonly width: number;
}

/** Fetches the bytes of a tile: `width * 32` of them, or more where the tile has grown since. */
export type TileReader = (tile: HashTile) => Uint8Array | Promise<Uint8Array>;

/**
 * Reads any node of the tree of `size` leaves from its tiles, each of which is fetched once in the reader's life: make
 * a reader for a proof, or for a few, and let it go.
 * The reader rejects with Malformed when a tile is too short.
 */
export function nodesOfTiles(size: number, readTile: TileReader): NodeReader {
  const tiles = new Map<string, Promise<Uint8Array[]>>();

  async function fetchTile(tile: HashTile): Promise<Uint8Array[]> {
    const bytes = await readTile(tile);
    return parseHashTile(bytes.subarray(0, tile.width * hashLength), tile.width);
  }

  function tileAt(level: number, index: number): Promise<Uint8Array[]> {
    const key = `${level}/${index}`;
    const known = tiles.get(key);
    if (known) return known;
    const fetched = fetchTile({ level, index, width: widthOf(level, index, size) });
    tiles.set(key, fetched);
    return fetched;
  }

  return async (level, index) => {
    const span = 2 ** (level % tileHeight);
    const first = index * span;
    const offset = first % tileWidth;
    const tileLevel = Math.floor(level / tileHeight);
    const tileIndex = (first - offset) / tileWidth;
    if (offset + span > widthOf(tileLevel, tileIndex, size)) {
      throw new RangeError(`a tree of ${size} has no node ${index} at level ${level}`);
    }
    const hashes = await tileAt(tileLevel, tileIndex);
    return rootOfLeaves(hashes.slice(offset, offset + span));
  };
}
