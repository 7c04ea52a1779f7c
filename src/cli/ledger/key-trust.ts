import { openRecovery, readRecoveryKey } from '../../ledger/key-recovery.ts';
import { isSameKey, readLedgerKey, readRotation, type KeyRotation } from '../../ledger/key-rotation.ts';
import type { ServedKeys } from '../../ledger/served-keys.ts';
import { Malformed } from '../../ledger/verdict.ts';
import { formatVkey, type VerifierKey } from '../../ledger/vkey.ts';

/** A tree that a trusted key vouches for beside the checkpoint: the ledger has to have it as its beginning. */
export interface VouchedHead {
  readonly size: number;
  readonly root: Uint8Array;
  /** Who vouches, for whoever is told that it is not so. */
  readonly what: string;
}

/** What follows from a key that is trusted. */
export interface KeyTrust {
  /** That key, and those that took its place one after the other. */
  readonly keys: readonly VerifierKey[];
  /** How each but the last was replaced. */
  readonly rotations: readonly KeyRotation[];
  readonly heads: readonly VouchedHead[];
}

/**
 * Follows a key of the ledger by the proofs that a ledger serves, of which nothing is believed that does not prove
 * itself. A statement of the recovery key outranks them: then its successor is followed, unless the trusted key is one of
 * those that came after.
 * @param recoveryKey null when none is trusted: statements of one then count for nothing.
 */
export function followKeys(key: VerifierKey, recoveryKey: VerifierKey | null, served: ServedKeys): KeyTrust {
  const recovery =
    recoveryKey && served.recovery ? attempt(() => openRecovery(served.recovery!, recoveryKey, key.name)) : null;
  if (!recovery) return chainFrom(key, served);
  const { successor, size, root, number } = recovery;
  const recovered = chainFrom(readLedgerKey(successor), served);
  const own = recovered.keys.some((each) => isSameKey(each, key)) ? chainFrom(key, served) : recovered;
  return { ...own, heads: [{ size, root, what: `statement ${number} of the recovery key` }, ...own.heads] };
}

function chainFrom(start: VerifierKey, { rotations: served }: ServedKeys): KeyTrust {
  const [keys, rotations]: [VerifierKey[], KeyRotation[]] = [[start], []];
  // A vkey has one form only.
  const servedFrom = Map.groupBy(served, ({ from }) => from);
  for (;;) {
    const last = keys.at(-1)!;
    const proofs = servedFrom.get(formatVkey(last.name, last.kind, last.bytes)) ?? [];
    const next = proofs
      .map(({ proof }) => attempt(() => readRotation(proof, last)))
      .find((rotation) => rotation !== null && keys.every((each) => !isSameKey(each, rotation.to)));
    if (!next) break;
    keys.push(next.to);
    rotations.push(next);
  }
  const heads = rotations.map(({ checkpoint: { size, root }, from, to }) => ({
    size,
    root,
    what: `what the key ${from.id} has signed of its successor ${to.id}`,
  }));
  return { keys, rotations, heads };
}

/** The keys that a ledger says it ever had. Nothing is proved of them. */
export function namedKeys({ rotations }: ServedKeys): VerifierKey[] {
  const all = rotations.flatMap(({ from, to }) => [from, to]);
  return [...new Set(all)].map((vkey) => attempt(() => readLedgerKey(vkey))).filter((key) => key !== null);
}

/** Null for what is not of its format. */
function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

/** Reads a recovery key that somebody trusts, whose name says for which origin it is. @throws Malformed when it is none. */
export function readTrustedRecoveryKey(vkey: unknown): VerifierKey {
  const suffix = '/recovery';
  const { name } = readLedgerKey(vkey);
  return readRecoveryKey(vkey as string, name.endsWith(suffix) ? name.slice(0, -suffix.length) : name);
}
