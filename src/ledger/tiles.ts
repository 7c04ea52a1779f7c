import { longestLeaf } from './canonical.ts';
import { hashLength } from './merkle.ts';
import { Malformed } from './verdict.ts';

/** Hashes of a full tile, entries of a full bundle. */
export const tileWidth = 256;
/** Levels of the tree in one level of tiles. */
export const tileHeight = 8;

/**
 * A tile of hashes (`level` 0 holds leaf hashes, each hash of a level above is the root of a full tile below), or the
 * bundle of entries that lies under a tile of level 0 (`level` is `entries`).
 */
export interface Tile {
  readonly level: number | 'entries';
  readonly index: number;
  /** 256 for a full tile, 1 to 255 for a partial one. */
  readonly width: number;
}

/** The tile's path below the ledger's prefix: `tile/<L>/<N>[.p/<W>]` (C2SP tlog-tiles). */
export function tilePath({ level, index, width }: Tile): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.{3}/g)!;
  const last = groups.pop()!;
  const folders = groups.map((group) => `x${group}/`).join('');
  return `tile/${level}/${folders}${last}${width === tileWidth ? '' : `.p/${width}`}`;
}

const pathPattern = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/;
const highestLevel = 63;

/** The tile that a path names, or null: every tile has exactly one path. */
export function parseTilePath(path: string): Tile | null {
  const [, level, folders, width] = pathPattern.exec(path) ?? [];
  if (level === undefined || folders === undefined) return null;
  const tile: Tile = {
    level: level === 'entries' ? level : Number(level),
    index: Number(folders.replaceAll(/[x/]/g, '')),
    width: width === undefined ? tileWidth : Number(width),
  };
  const inRange = tile.level === 'entries' || tile.level <= highestLevel;
  const exact = inRange && Number.isSafeInteger(tile.index) && tile.width > 0 && tile.width <= tileWidth;
  return exact && tilePath(tile) === path ? tile : null;
}

/** How many hashes the tree has at a level of tiles. */
export function hashesAtLevel(level: number, size: number): number {
  return Math.floor(size / tileWidth ** level);
}

/** The width of a tile in a tree of that size; 0 when the tile is not there. */
export function widthOf(level: number, index: number, size: number): number {
  return Math.max(0, Math.min(tileWidth, hashesAtLevel(level, size) - index * tileWidth));
}

/**
 * The tiles that a tree of `to` leaves has and one of `from` had not, or had narrower, each with its width at `to`;
 * level by level from below. Bundles of entries grow like tiles of level 0.
 */
export function changedTiles(from: number, to: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0; hashesAtLevel(level, to) > 0; level++) {
    const [had, has] = [hashesAtLevel(level, from), hashesAtLevel(level, to)];
    if (had === has) continue;
    for (let index = Math.floor(had / tileWidth); index * tileWidth < has; index++) {
      tiles.push({ level, index, width: widthOf(level, index, to) });
    }
  }
  return tiles;
}

/** The bytes of a tile of hashes. */
export function formatHashTile(hashes: readonly Uint8Array[]): Buffer {
  return Buffer.concat(hashes);
}

/** The hashes of a tile. @throws Malformed when there are not exactly `width` of them. */
export function parseHashTile(bytes: Uint8Array, width: number): Uint8Array[] {
  if (bytes.length !== width * hashLength) {
    throw new Malformed(`a tile of ${width} hashes has ${width * hashLength} bytes, not ${bytes.length}`);
  }
  return Array.from({ length: width }, (_, i) => bytes.subarray(i * hashLength, (i + 1) * hashLength));
}

/** The bytes of a bundle: each entry after its length as a big-endian uint16. */
export function formatEntryBundle(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      if (entry.length > longestLeaf) throw new RangeError(`an entry has at most ${longestLeaf} bytes`);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(entry.length);
      return [length, entry];
    }),
  );
}

/** The entries of a bundle. @throws Malformed when there are not exactly `width` of them, or bytes are left over. */
export function parseEntryBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < view.length) {
    const begin = at + 2;
    const end = begin > view.length ? Number.POSITIVE_INFINITY : begin + view.readUInt16BE(at);
    if (end > view.length) throw new Malformed('the bundle ends within an entry');
    entries.push(view.subarray(begin, end));
    at = end;
  }
  if (entries.length !== width) throw new Malformed(`the bundle has ${entries.length} entries, not ${width}`);
  return entries;
}
