import { firstDifference, type MadeTile } from '../../ledger/audit-tree.ts';
import { Offence } from '../../ledger/audit.ts';
import type { LedgerSource } from '../../ledger/audit-source.ts';
import { emptyRoot, hashLength, sameHash } from '../../ledger/merkle.ts';
import { growTree, type GrowingTree } from './growing-tree.ts';

/** The size and root that something says of the ledger. */
interface TreeHead {
  readonly size: number;
  readonly root: Uint8Array;
}

/** Computes a ledger's tree anew and holds it against the tiles and the heads that are served. */
export class TreeCheck {
  readonly #source: LedgerSource;
  readonly #tree: GrowingTree;
  #size = 0;
  #root: Uint8Array = emptyRoot;
  /** Entries before this are those that some known head speaks of. */
  #vouched = 0;
  /** The tiles of one batch are compared while the next is on its way. */
  #comparing: Promise<Offence | null> = Promise.resolve(null);

  /** @param size how many entries there will be. */
  constructor(source: LedgerSource, size: number) {
    this.#source = source;
    this.#tree = growTree(size);
  }

  /** @throws Offence, or whatever the source throws, of what came before. */
  async append(entries: readonly Uint8Array[]): Promise<void> {
    const before = this.#comparing;
    const grown = this.#tree.append(entries);
    this.#comparing = grown.then(async ({ tiles, root }) => {
      this.#root = root;
      const found = await before;
      return found ?? this.#compare(tiles);
    });
    this.#comparing.catch(() => undefined);
    this.#size += entries.length;
    await throwAny(before);
  }

  /** Waits until all that was appended is compared. @throws Offence. */
  async settle(): Promise<void> {
    await throwAny(this.#comparing);
  }

  /** After the last entry: compares what is left too. @throws Offence. */
  async finish(): Promise<void> {
    await this.settle();
    await throwAny(this.#compareEdge());
  }

  /** Holds the tree, once settled, against what is said of it. @throws Offence naming the first entry in doubt. */
  requireHead({ size, root }: TreeHead, what: string): void {
    if (size !== this.#size) {
      throw new Offence(this.#size, `${what} is of ${size} entries, and here are ${this.#size}`);
    }
    if (!sameHash(this.#root, root)) {
      const reason = `${what} has another root than these entries: from here on none is vouched for`;
      throw new Offence(this.#vouched, reason, false);
    }
    this.#vouched = size;
  }

  /** What was found may have an earlier cause: an entry whose hash is not that of its tile. */
  async earliest(found: Offence): Promise<Offence> {
    const offences = [found, await this.#comparing, await this.#compareEdge()];
    return offences.filter((offence) => offence !== null).reduce(earlier);
  }

  async close(): Promise<void> {
    await this.#tree.close();
  }

  async #compareEdge(): Promise<Offence | null> {
    return this.#compare(await this.#tree.edgeTiles());
  }

  /** @returns the first entry that a tile that is served does not cover. */
  async #compare(tiles: readonly MadeTile[]): Promise<Offence | null> {
    const offences = await Promise.all(tiles.map((tile) => this.#compareTile(tile)));
    return offences.filter((each) => each !== null).reduce<Offence | null>((a, b) => (a ? earlier(a, b) : b), null);
  }

  async #compareTile(tile: MadeTile): Promise<Offence | null> {
    if (!this.#source.tile) return null;
    const served = await this.#source.tile(tile.level, tile.index, tile.hashes.length / hashLength);
    const index = firstDifference(tile, served);
    if (index === null) return null;
    const name = `tile ${tile.level}/${tile.index}`;
    if (served === null) return new Offence(index, `the ${name} is gone`);
    if (tile.level === 0) return new Offence(index, `the entry is not the one whose hash is in ${name}`);
    return new Offence(index, `the entries from here on do not make ${name}`, false);
  }
}

async function throwAny(looking: Promise<Offence | null>): Promise<void> {
  const offence = await looking;
  if (offence) throw offence;
}

/** Of two offences the one that comes first; one that names its entry goes before one that only has it in doubt. */
function earlier(a: Offence, b: Offence): Offence {
  if (a.exact !== b.exact) return a.exact ? a : b;
  return b.index < a.index ? b : a;
}
