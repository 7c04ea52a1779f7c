import { createAudit, firstDifference, Offence, type Audit, type MadeTile, type Remarks } from '../../ledger/audit.ts';
import type { LedgerSource, Leftovers } from '../../ledger/audit-source.ts';
import { openCheckpoint, parseCheckpoint, type Checkpoint } from '../../ledger/checkpoint.ts';
import { parseNote } from '../../ledger/note.ts';
import { Malformed } from '../../ledger/verdict.ts';
import type { VerifierKey } from '../../ledger/vkey.ts';

/** What is believed beforehand; everything else is computed. */
export interface Trust {
  /** The ledger's key; null when there is none to hold signatures against. */
  readonly key: VerifierKey | null;
  /** A checkpoint seen before. */
  readonly pinned: Checkpoint | null;
}

export interface Finding {
  /** The entry that does not hold; null for what has no position. */
  readonly index: number | null;
  readonly reason: string;
}

/** What a verification came to: it holds when there are no findings, the first of which comes first in the ledger. */
export interface Verification {
  readonly checkpoint: Checkpoint | null;
  readonly findings: readonly Finding[];
  readonly remarks: Remarks & { readonly waiting: number };
}

/**
 * Re-computes a whole ledger: every entry's form and hash, every tile, the tree, its checkpoint's signature, that it
 * continues the pinned one, and the rules between events. Stops at the first entry that does not hold.
 * @param progress is told how far it is.
 * @throws whatever the source throws when it cannot be read.
 */
export async function verifyLedger(
  source: LedgerSource,
  trust: Trust,
  progress: (done: number, total: number) => void,
): Promise<Verification> {
  let checkpoint: Checkpoint | null = null;
  let remarks: Remarks = { unknownTypes: 0, lateSessions: 0 };
  const findings: Finding[] = [];
  try {
    checkpoint = readCheckpoint(source.checkpoint, trust);
    remarks = await verifyTree(source, checkpoint, trust.pinned, progress);
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    findings.push({ index: error.index, reason: error.message });
  }
  const leftovers = await source.leftovers?.();
  if (leftovers) findings.push(...findingsOf(leftovers));
  return { checkpoint, findings, remarks: { ...remarks, waiting: leftovers?.waiting ?? 0 } };
}

/** The checkpoint, its signature verified when there is a key to do it with. @throws Offence. */
function readCheckpoint(signed: string | null, { key, pinned }: Trust): Checkpoint {
  if (signed === null) throw new Offence(0, 'the ledger has no checkpoint');
  try {
    const checkpoint = key
      ? openCheckpoint(signed, { origin: key.name, ledgerKeys: [key] }).checkpoint
      : parseCheckpoint(parseNote(signed).text);
    if (pinned && pinned.origin !== checkpoint.origin) {
      throw new Malformed(`the checkpoint is of \`${checkpoint.origin}\`, the pinned one of \`${pinned.origin}\``);
    }
    return checkpoint;
  } catch (error) {
    if (error instanceof Malformed) throw new Offence(0, error.message, false);
    throw error;
  }
}

async function verifyTree(
  source: LedgerSource,
  checkpoint: Checkpoint,
  pinned: Checkpoint | null,
  progress: (done: number, total: number) => void,
): Promise<Remarks> {
  const audit = createAudit();
  try {
    await takeEntries(source, audit, checkpoint.size, pinned, progress);
    await compareTiles(source, audit.edgeTiles());
    audit.requireHead(checkpoint, 'the checkpoint');
    if (pinned && pinned.size > checkpoint.size) {
      throw new Offence(checkpoint.size, `the pinned checkpoint is of ${pinned.size} entries, the ledger has no more`);
    }
    return audit.finish();
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    throw await earliest(source, audit, error);
  }
}

async function takeEntries(
  source: LedgerSource,
  audit: Audit,
  size: number,
  pinned: Checkpoint | null,
  progress: (done: number, total: number) => void,
): Promise<void> {
  if (pinned?.size === 0) audit.requireHead(pinned, 'the pinned checkpoint');
  let comparing: Promise<void> = Promise.resolve();
  for await (const batch of source.entries(0, size)) {
    for (const bytes of batch) {
      audit.entry(bytes);
      if (audit.size === pinned?.size) audit.requireHead(pinned, 'the pinned checkpoint');
    }
    progress(audit.size, size);
    // The tiles of one batch are compared while the next is on its way.
    await comparing;
    comparing = compareTiles(source, audit.takeTiles());
    comparing.catch(() => {});
  }
  await comparing;
  if (audit.size < size) throw new Offence(audit.size, 'the entry is gone');
}

/** Holds tiles against those that are served. @throws Offence at the first entry that one does not cover. */
async function compareTiles(source: LedgerSource, tiles: readonly MadeTile[]): Promise<void> {
  const offences = (await Promise.all(tiles.map((tile) => compareTile(source, tile)))).filter((each) => each !== null);
  if (offences.length > 0) throw offences.reduce(earlier);
}

async function compareTile(source: LedgerSource, tile: MadeTile): Promise<Offence | null> {
  if (!source.tile) return null;
  const served = await source.tile(tile.level, tile.index, tile.hashes.length / 32);
  const index = firstDifference(tile, served);
  if (index === null) return null;
  const name = `tile ${tile.level}/${tile.index}`;
  if (served === null) return new Offence(index, `the ${name} is gone`);
  if (tile.level === 0) return new Offence(index, `the entry is not the one whose hash is in ${name}`);
  return new Offence(index, `the entries from here on do not make ${name}`, false);
}

/** Of two offences the one that comes first; one that names its entry goes before one that only has it in doubt. */
function earlier(a: Offence, b: Offence): Offence {
  if (a.exact !== b.exact) return a.exact ? a : b;
  return b.index < a.index ? b : a;
}

/** What was found may have an earlier cause: an entry whose hash is not that of its tile. */
async function earliest(source: LedgerSource, audit: Audit, found: Offence): Promise<Offence> {
  try {
    await compareTiles(source, [...audit.takeTiles(), ...audit.edgeTiles()]);
    return found;
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    return earlier(found, error);
  }
}

function findingsOf({ unplaced, lost, beyond }: Leftovers): Finding[] {
  return [
    ...(beyond === null ? [] : [{ index: beyond, reason: 'the entry is beyond the signed tree' }]),
    ...unplaced.map((id) => ({ index: null, reason: `the event \`${id}\` never got a position` })),
    ...lost.map((id) => ({
      index: null,
      reason: `the event \`${id}\` waits for a position and is not as it was written`,
    })),
  ];
}
