import type { Witnesses } from '../ledger/checkpoint.ts';
import { readLedgerKey } from '../ledger/key-rotation.ts';
import {
  countingKeys,
  followRecovery,
  followRotation,
  newestKey,
  parsePinnedKeys,
  pinKeys,
  type PinnedKeys,
} from '../ledger/pinned-keys.ts';
import { longestServed, parseServedKeys, type ServedKeys } from '../ledger/served-keys.ts';
import { Malformed } from '../ledger/verdict.ts';
import { parseVkey } from '../ledger/vkey.ts';
import { BrokerError, callBroker } from './broker-calls.ts';
import { elapsedSince, machineClocks, mark, type Clocks, type Mark } from './elapsed.ts';
import type { DemandedWitnesses } from './witnesses.ts';
import { readState, StateError, writeState } from './state-directory.ts';

/** The ledger's key that was pinned at enrolment, and those that it was followed to. */
export interface LedgerKeys {
  /** The vkeys whose signatures count at that moment of the agent's clock (milliseconds), oldest first; at least one. */
  counting(now: number): readonly string[];
  /** A hint that the newest key is that vkey. If it is not known, the proofs that lead there are asked for. */
  heard(newest: string | null): void;
  /**
   * Asks the broker for what leads on from the newest key, unless that was just done: whoever brings receipts of unknown
   * keys can make hardly any traffic. Never throws: keys that cannot be fetched are keys that are not there.
   * @returns whether the keys that count are others than before.
   */
  refresh(): Promise<boolean>;
  /** Resolves once nothing is being asked. */
  idle(): Promise<void>;
}

export interface LedgerKeysOptions {
  /** The broker's `publicUrl`. */
  readonly issuer: string;
  readonly pinned: PinnedKeys;
  /** Keeps what was followed. INVARIANT: awaited before a key is believed, so that no restart goes back behind it. */
  readonly remember: (pinned: PinnedKeys) => Promise<void>;
  /** Who must have cosigned the proof of a rotation: the agent's own configuration, as with receipts. */
  readonly witnesses?: DemandedWitnesses | undefined;
  readonly clocks?: Clocks;
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

/** The shortest time between two askings; it doubles while they bring nothing, up to the longest. Milliseconds. */
const [firstPause, longestPause] = [5_000, 60_000];
const fetchTimeout = 15_000;
/** Answers that are followed at once, each with the rotations after the one before: years of them. */
const mostRounds = 16;

/** Follows the ledger's keys by proof alone: whatever the broker answers, only what the newest key or the recovery key has signed counts. */
export function createLedgerKeys(options: LedgerKeysOptions): LedgerKeys {
  const { issuer, remember, clocks = machineClocks, log = () => undefined } = options;
  const witnesses = options.witnesses && parseWitnesses(options.witnesses);
  let pinned = options.pinned;
  let lastTry: Mark | null = null;
  let pause = firstPause;
  let pending: Promise<boolean> | null = null;

  const believe = async (next: PinnedKeys): Promise<void> => {
    if (next === pinned) return;
    await remember(next);
    pinned = next;
    log('the ledger has a new key', { id: newestKey(pinned).id, recovered: pinned.recovered });
  };
  /** What does not prove itself is passed over: it may be meant for others. */
  const attempt = async (follow: () => PinnedKeys): Promise<void> => {
    let next: PinnedKeys;
    try {
      next = follow();
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      log('a key of the ledger is not followed', { why: error.message });
      return;
    }
    await believe(next);
  };
  const take = async ({ recovery, rotations }: ServedKeys): Promise<void> => {
    // INVARIANT: first, for it outranks all that a leaked key has signed.
    if (recovery !== null && pinned.recoveryKey !== null) await attempt(() => followRecovery(pinned, recovery));
    for (const { from, proof } of rotations) {
      if (from === pinned.keys.at(-1)!.vkey) await attempt(() => followRotation(pinned, proof, witnesses));
    }
  };
  const fetchKeys = async (): Promise<boolean> => {
    lastTry = mark(clocks);
    const before = pinned;
    try {
      for (let round = 0; round < mostRounds; round++) {
        const start = pinned;
        const url = `${issuer}/v1/ledger/keys?after=${encodeURIComponent(pinned.keys.at(-1)!.vkey)}`;
        await take(parseServedKeys(await callBroker(url, { timeout: fetchTimeout, maxBytes: longestServed })));
        if (pinned === start) break;
      }
    } catch (error) {
      if (!(error instanceof BrokerError) && !(error instanceof Malformed)) {
        // A disk that keeps nothing: what is not kept is not believed.
        log('the ledger’s new key could not be kept', { why: error instanceof Error ? error.message : 'unknown' });
      }
    } finally {
      pending = null;
    }
    pause = pinned === before ? Math.min(longestPause, 2 * pause) : firstPause;
    return pinned !== before;
  };
  const refresh = (): Promise<boolean> => {
    const mayFetch = lastTry === null || elapsedSince(lastTry, clocks) >= pause;
    if (!pending && !mayFetch) return Promise.resolve(false);
    return (pending ??= fetchKeys());
  };

  return {
    counting: (now) => countingKeys(pinned, now),
    heard(newest) {
      // The whole key: two may be made to share an id.
      if (newest !== null && newest !== pinned.keys.at(-1)!.vkey) void refresh();
    },
    refresh,
    async idle() {
      await pending;
    },
  };
}

function parseWitnesses({ keys, needed }: DemandedWitnesses): Witnesses {
  return { keys: keys.map(parseVkey), needed };
}

const fileName = 'ledger-keys.json';

/**
 * The keys as they were last followed, or as the enrolment pinned them; null when it pinned none that could be read:
 * then no receipt holds.
 * @throws StateError when what was kept cannot be read, or is of another enrolment: to begin anew at the key from the
 *   enrolment could bring back one that leaked.
 */
export async function loadLedgerKeys(
  { issuer, ledgerKey, recoveryKey }: { issuer: string; ledgerKey: string | null; recoveryKey: string | null },
  directory: string,
  options: Pick<LedgerKeysOptions, 'witnesses' | 'log'>,
): Promise<LedgerKeys | null> {
  const kept = await readState(directory, fileName);
  const enrolled = pinEnrolled(ledgerKey, recoveryKey);
  if (enrolled === null) return null;
  const remember = (next: PinnedKeys): Promise<void> => writeState(directory, fileName, next);
  const pinned = kept === null ? enrolled : readKept(kept, enrolled);
  return createLedgerKeys({ ...options, issuer, pinned, remember });
}

function pinEnrolled(ledgerKey: string | null, recoveryKey: string | null): PinnedKeys | null {
  try {
    return ledgerKey === null ? null : pinKeys(ledgerKey, recoveryKey);
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

function readKept(kept: unknown, enrolled: PinnedKeys): PinnedKeys {
  try {
    const pinned = parsePinnedKeys(kept);
    for (const { vkey } of pinned.keys) readLedgerKey(vkey);
    if (pinned.keys[0]!.vkey === enrolled.keys[0]!.vkey && pinned.recoveryKey === enrolled.recoveryKey) return pinned;
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
  }
  throw new StateError(`\`${fileName}\` does not say which keys of the ledger were followed; enrol the device anew`);
}
