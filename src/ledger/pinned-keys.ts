import type { Witnesses } from './checkpoint.ts';
import { readLedgerKey, readRotation } from './key-rotation.ts';
import { openRecovery, readRecoveryKey } from './key-recovery.ts';
import { Malformed } from './verdict.ts';
import type { VerifierKey } from './vkey.ts';

/** A key of a ledger that was pinned, or followed from one that was. */
export interface PinnedKey {
  readonly vkey: string;
  /** From then on its signatures count no more (milliseconds since the epoch); null for the newest. */
  readonly until: number | null;
}

/** What somebody who pinned a ledger's key knows of it by now. Plain data, to be kept as JSON. */
export interface PinnedKeys {
  /** All that were ever believed, oldest first, so that none comes back. */
  readonly keys: readonly PinnedKey[];
  /** The vkey of the recovery key; null when none was pinned: then nothing outranks the ledger's key. */
  readonly recoveryKey: string | null;
  /** The number of the recovery that was followed last; zero before the first. */
  readonly recovered: number;
}

/** More rotations than anybody makes: what a keeper of pins has room for. */
export const mostPinnedKeys = 4_096;

/** Pins a ledger's key, and the one that may replace it when it leaks. @throws Malformed when either is none. */
export function pinKeys(vkey: string, recoveryKey: string | null = null): PinnedKeys {
  const { name } = readLedgerKey(vkey);
  if (recoveryKey !== null) readRecoveryKey(recoveryKey, name);
  return { keys: [{ vkey, until: null }], recoveryKey, recovered: 0 };
}

/**
 * Follows the newest key to its successor by the proof alone: see `readRotation`.
 * @throws Malformed when it does not hold, or the successor was a key before.
 */
export function followRotation(pinned: PinnedKeys, proof: string, witnesses?: Witnesses): PinnedKeys {
  const { successor, until } = readRotation(proof, newestKey(pinned), witnesses);
  requireNew(pinned, successor);
  const [newest] = pinned.keys.slice(-1);
  return { ...pinned, keys: [...pinned.keys.slice(0, -1), { ...newest!, until }, { vkey: successor, until: null }] };
}

/**
 * Follows a statement of the recovery key, which outranks all that keys of the ledger have signed: none of them counts
 * from here on. A statement that was followed already, or an older one, changes nothing.
 * @throws Malformed when it does not hold, no recovery key is pinned, or the successor was a key before.
 */
export function followRecovery(pinned: PinnedKeys, statement: string): PinnedKeys {
  if (pinned.recoveryKey === null) throw new Malformed('no recovery key is pinned');
  const origin = newestKey(pinned).name;
  const { number, successor } = openRecovery(statement, readRecoveryKey(pinned.recoveryKey, origin), origin);
  if (number <= pinned.recovered) return pinned;
  requireNew(pinned, successor);
  const past = pinned.keys.map(({ vkey }) => ({ vkey, until: 0 }));
  return { ...pinned, keys: [...past, { vkey: successor, until: null }], recovered: number };
}

/** INVARIANT: a key that was replaced never counts again, so that no chain of proofs leads round in a circle. */
function requireNew({ keys }: PinnedKeys, successor: string): void {
  if (keys.length >= mostPinnedKeys) throw new Malformed(`there are ${mostPinnedKeys} keys already`);
  // A vkey has one form only, so equal keys are equal texts.
  if (keys.some(({ vkey }) => vkey === successor)) {
    throw new Malformed('the successor was a key of the ledger before');
  }
}

/** The key that nothing has replaced. */
export function newestKey({ keys }: PinnedKeys): VerifierKey {
  return readLedgerKey(keys.at(-1)!.vkey);
}

/** The keys whose signatures count at a moment (milliseconds since the epoch), as vkeys, oldest first. */
export function countingKeys({ keys }: PinnedKeys, now: number): string[] {
  return keys.filter(({ until }) => until === null || now < until).map(({ vkey }) => vkey);
}

/** Reads pins that were kept. @throws Malformed when they cannot be what was kept. */
export function parsePinnedKeys(value: unknown): PinnedKeys {
  const { keys, recoveryKey, recovered } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isSound =
    Array.isArray(keys) &&
    keys.length > 0 &&
    keys.length <= mostPinnedKeys &&
    keys.every((each, place) => isPinnedKey(each, place === keys.length - 1)) &&
    Number.isSafeInteger(recovered) &&
    (recoveryKey === null || typeof recoveryKey === 'string');
  if (!isSound) throw new Malformed('these are no pinned keys');
  const { name } = readLedgerKey((keys.at(-1) as PinnedKey).vkey);
  if (recoveryKey !== null) readRecoveryKey(recoveryKey, name);
  return { keys: keys as PinnedKey[], recoveryKey, recovered: recovered as number };
}

function isPinnedKey(value: unknown, isLast: boolean): boolean {
  const { vkey, until } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return typeof vkey === 'string' && (isLast ? until === null : Number.isSafeInteger(until));
}
