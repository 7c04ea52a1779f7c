import { AuditedTree, firstDifference, type MadeTile } from '../../ledger/audit-tree.ts';
import { createAudit, Offence, type Remarks } from '../../ledger/audit.ts';
import type { LedgerSource } from '../../ledger/audit-source.ts';
import { hashLength, sameHash } from '../../ledger/merkle.ts';

/** The size and root that something says of the ledger. */
interface TreeHead {
  readonly size: number;
  readonly root: Uint8Array;
}

/**
 * Checks a ledger's entries: each by itself and with those before it, and that the tree over them has the tiles and the heads
 * that are served. The tiles of one batch are compared while the next is looked at.
 */
export class EntriesCheck {
  readonly #source: LedgerSource;
  readonly #audit = createAudit();
  readonly #tree = new AuditedTree();
  /** Entries before this are those that some known head speaks of. */
  #vouched = 0;
  /** What all until now come to. */
  #looking: Promise<Offence | null> = Promise.resolve(null);

  constructor(source: LedgerSource) {
    this.#source = source;
  }

  /** How many entries hold so far. */
  get size(): number {
    return this.#tree.size;
  }

  /**
   * Takes the next entries, up to the first that does not hold; null stands for one that is gone.
   * @throws Offence of these or of those before them, or whatever the source throws.
   */
  async take(entries: readonly (Uint8Array | null)[]): Promise<void> {
    const before = this.#looking;
    const offence = this.#hold(entries);
    const different = this.#compare(this.#tree.takeTiles());
    this.#looking = Promise.all([before, different]).then(([past, found]) => earliestOf([past, offence, found]));
    this.#looking.catch(() => undefined);
    await throwAny(before);
    if (offence) throw offence;
  }

  #hold(entries: readonly (Uint8Array | null)[]): Offence | null {
    try {
      for (const bytes of entries) {
        this.#audit.entry(bytes);
        this.#tree.append(bytes!);
      }
      return null;
    } catch (error) {
      if (error instanceof Offence) return error;
      throw error;
    }
  }

  /** Waits until all that was taken is looked at. @throws Offence. */
  async settle(): Promise<void> {
    await throwAny(this.#looking);
  }

  /** After the last entry: compares what is left too. @throws Offence. */
  async compareEdge(): Promise<void> {
    await this.settle();
    await throwAny(this.#compare(this.#tree.edgeTiles()));
  }

  /** Holds the tree as it is now against what is said of it. @throws Offence naming the first entry in doubt. */
  requireHead({ size, root }: TreeHead, what: string): void {
    if (size !== this.size) {
      throw new Offence(this.size, `${what} is of ${size} entries, and here are ${this.size}`);
    }
    if (!sameHash(this.#tree.root(), root)) {
      const reason = `${what} has another root than these entries: from here on none is vouched for`;
      throw new Offence(this.#vouched, reason, false);
    }
    this.#vouched = size;
  }

  /** Ends the check. @throws Offence when something stayed open that should not. */
  finish(): Remarks {
    return this.#audit.finish();
  }

  /** What was found may have an earlier cause, such as an entry whose hash is not that of its tile. */
  async earliest(found: Offence): Promise<Offence> {
    return earliestOf([await this.#looking, found, await this.#compare(this.#tree.edgeTiles())])!;
  }

  /** @returns the first entry that a tile that is served does not cover. */
  async #compare(tiles: readonly MadeTile[]): Promise<Offence | null> {
    return earliestOf(await Promise.all(tiles.map((tile) => this.#compareTile(tile))));
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

/** The one that comes first; one that names its entry goes before one that only has it in doubt. */
function earliestOf(offences: readonly (Offence | null)[]): Offence | null {
  return offences.filter((offence) => offence !== null).reduce<Offence | null>(earlier, null);
}

function earlier(a: Offence | null, b: Offence): Offence {
  if (!a) return b;
  if (a.exact !== b.exact) return a.exact ? a : b;
  return b.index < a.index ? b : a;
}
