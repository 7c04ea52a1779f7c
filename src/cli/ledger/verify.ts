import { Offence, type Remarks } from '../../ledger/audit.ts';
import type { LedgerSource, Leftovers } from '../../ledger/audit-source.ts';
import { openCheckpoint, parseCheckpoint, type Checkpoint } from '../../ledger/checkpoint.ts';
import { parseNote } from '../../ledger/note.ts';
import { openNote } from '../../ledger/note-signatures.ts';
import { noKeysServed, type ServedKeys } from '../../ledger/served-keys.ts';
import { Malformed } from '../../ledger/verdict.ts';
import type { VerifierKey } from '../../ledger/vkey.ts';
import { Failure } from '../failure.ts';
import { EntriesCheck } from './check-entries.ts';
import { followKeys, namedKeys, type KeyTrust, type VouchedHead } from './key-trust.ts';

/** What is believed beforehand; everything else is computed. */
export interface Trust {
  /** The ledger's key; null when there is none to hold signatures against. */
  readonly key: VerifierKey | null;
  /** The key that may replace the ledger's; null when there is none to hold statements against. */
  readonly recoveryKey: VerifierKey | null;
  /** A checkpoint seen before. */
  readonly pinned: Checkpoint | null;
  /** That checkpoint as it was signed, when by another key than the given one: by one before or after it. */
  readonly pinnedNote: string | null;
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
  // Looked for meanwhile: it takes the database a while, and nothing here depends on it.
  const beside = source.leftovers?.();
  beside?.catch(() => undefined);
  let checkpoint: Checkpoint | null = null;
  let remarks: Remarks = { unknownTypes: 0, lateSessions: 0 };
  const findings: Finding[] = [];
  try {
    const served = (await source.keys?.()) ?? noKeysServed;
    requirePinnedIsOurs(trust, served);
    const keys = trust.key && followKeys(trust.key, trust.recoveryKey, served);
    const head = readCheckpoint(source.checkpoint, trust, keys, served);
    ({ checkpoint } = head);
    const pinned = trust.pinned ? [{ ...trust.pinned, what: pinnedName }] : [];
    const heads = [...(keys?.heads ?? []), ...pinned].toSorted((a, b) => a.size - b.size);
    const last = { at: '' };
    remarks = await verifyTree(source, checkpoint, heads, last, progress);
    if (keys) requireKeyInForce(keys, head.signers, last.at);
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    findings.push({ index: error.index, reason: error.message });
  }
  const leftovers = await beside;
  if (leftovers) findings.push(...findingsOf(leftovers));
  return { checkpoint, findings, remarks: { ...remarks, waiting: leftovers?.waiting ?? 0 } };
}

const pinnedName = 'the pinned checkpoint';

/**
 * A checkpoint that was kept may be signed by a key before the given one, or after it: one that the ledger names. Whether
 * it is the ledger's is shown by its root.
 * @throws Failure when it is signed by none of these.
 */
function requirePinnedIsOurs({ pinnedNote, recoveryKey }: Trust, served: ServedKeys): void {
  if (pinnedNote === null || (served.recovery !== null && recoveryKey !== null)) return;
  try {
    openNote(pinnedNote, namedKeys(served));
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new Failure('usage', `the pinned checkpoint cannot be held against anything: ${cause.message}`, { cause });
  }
}

interface Head {
  readonly checkpoint: Checkpoint;
  readonly signers: readonly VerifierKey[];
}

/** The checkpoint, its signature verified when there is a key to do it with. @throws Offence. */
function readCheckpoint(signed: string | null, trust: Trust, keys: KeyTrust | null, served: ServedKeys): Head {
  if (signed === null) throw new Offence(0, 'the ledger has no checkpoint');
  try {
    const head = keys ? openHead(signed, keys) : { checkpoint: parseCheckpoint(parseNote(signed).text), signers: [] };
    const { pinned } = trust;
    if (pinned && pinned.origin !== head.checkpoint.origin) {
      throw new Malformed(`the checkpoint is of \`${head.checkpoint.origin}\`, the pinned one of \`${pinned.origin}\``);
    }
    return head;
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    const isRecovered = served.recovery !== null && trust.recoveryKey === null;
    const hint = isRecovered ? '; its key was replaced by the recovery key: give `--recovery-key`, or the new key' : '';
    throw new Offence(0, error.message + hint, false);
  }
}

function openHead(signed: string, { keys }: KeyTrust): Head {
  const { checkpoint, note } = openCheckpoint(signed, { origin: keys[0]!.name, ledgerKeys: keys });
  return { checkpoint, signers: note.verified.map(({ key }) => key) };
}

/** @throws Offence when those that signed were replaced before the last entry was written. */
function requireKeyInForce({ keys, rotations }: KeyTrust, signers: readonly VerifierKey[], lastAt: string): void {
  const newest = Math.max(...signers.map((signer) => keys.indexOf(signer)));
  const replaced = rotations[newest];
  if (!replaced || Date.parse(lastAt) <= replaced.until) return;
  throw new Offence(
    replaced.index + 1,
    `the checkpoint is signed by the key ${replaced.from.id} alone, which was replaced by ${replaced.to.id}`,
    false,
  );
}

async function verifyTree(
  source: LedgerSource,
  checkpoint: Checkpoint,
  heads: readonly VouchedHead[],
  last: { at: string },
  progress: (done: number, total: number) => void,
): Promise<Remarks> {
  const check = new EntriesCheck(source);
  try {
    await takeEntries(source, check, checkpoint.size, heads, last, progress);
    await check.compareEdge();
    check.requireHead(checkpoint, 'the checkpoint');
    const beyond = heads.find(({ size }) => size > checkpoint.size);
    if (beyond) {
      throw new Offence(checkpoint.size, `${beyond.what} is of ${beyond.size} entries, the ledger has no more`);
    }
    return check.finish();
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    throw await check.earliest(error);
  }
}

/** @param heads in the order of their sizes. @param last is told when the last entry was written. */
async function takeEntries(
  source: LedgerSource,
  check: EntriesCheck,
  size: number,
  heads: readonly VouchedHead[],
  last: { at: string },
  progress: (done: number, total: number) => void,
): Promise<void> {
  const waiting = heads.filter((head) => head.size <= size);
  const requireHeads = async (): Promise<void> => {
    while (waiting[0]?.size === check.size) {
      await check.settle();
      check.requireHead(waiting[0], waiting.shift()!.what);
    }
  };
  await requireHeads();
  for await (const batch of source.entries(0, size)) {
    for (let at = 0; at < batch.length;) {
      const end = waiting[0] ? Math.min(batch.length, at + waiting[0].size - check.size) : batch.length;
      await check.take(batch.slice(at, end));
      await requireHeads();
      at = end;
    }
    if (check.size === size) last.at = readAt(batch.at(-1)!);
    progress(check.size, size);
  }
  if (check.size < size) throw new Offence(check.size, 'the entry is gone');
}

function readAt(bytes: Uint8Array): string {
  return (JSON.parse(Buffer.from(bytes).toString('utf8')) as { at: string }).at;
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
