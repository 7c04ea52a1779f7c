import { setTimeout as sleep } from 'node:timers/promises';
import { keyNames, type KeyName } from '../credentials/keys.ts';
import type { Rotation } from '../credentials/rotation.ts';
import { LatchkeyError } from '../domain/errors.ts';
import { findKeyChanges } from '../store/signing-keys.ts';
import type { Log } from './context.ts';
import type { Ledger } from './ledger.ts';
import { createLedgerKeyProver } from './prove-ledger-key.ts';
import { recordKeys } from './record-keys.ts';
import { disableUnused, learnKeys, rotateKey, type KeysContext } from './rotate-keys.ts';
import { sayOnce, type SaidOnce } from './say-once.ts';
import type { SharedClock } from './shared-clock.ts';

export interface KeyKeeper {
  close(): Promise<void>;
}

export interface KeyKeeperOptions {
  readonly context: KeysContext & { readonly log: Log; readonly ledger: Ledger };
  readonly clock: SharedClock;
  readonly rotation: Pick<Rotation, 'rotateAfter' | 'readEvery' | 'askEvery'>;
  /** Whose age brings about a rotation. */
  readonly byAge: readonly KeyName[];
}

/** How long a vault may take to say what replaces a leaked key (milliseconds), before that is out without a word. */
const longestReading = 1_000;

/**
 * Keeps the keys of a running broker: asks the database often whether anything changed, reads the vault then and
 * regularly, writes down what is new, makes versions in place of those that are too old, and disables those that are
 * over. While the vault is away, what is loaded goes on, on time.
 */
export async function startKeyKeeper(options: KeyKeeperOptions): Promise<KeyKeeper> {
  const { context, clock, byAge } = options;
  const { rotateAfter, readEvery, askEvery } = options.rotation;
  const { pool, keys, log } = context;
  let known: number | null = null;
  let readAt = 0;
  let closed = false;
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const troubles = new Map<string, SaidOnce>();

  /** Says a failure once, until it is another or there was a success. */
  const attempt = async (what: string, work: () => Promise<void>): Promise<boolean> => {
    const trouble =
      troubles.get(what) ?? sayOnce((_, message) => log.warn({ error: message }, `${what}; what is loaded goes on`));
    troubles.set(what, trouble);
    try {
      await work();
      trouble.worked();
      return true;
    } catch (error) {
      trouble.failed(error);
      return false;
    }
  };

  const prover = createLedgerKeyProver(context);

  const due = (): void => {
    readAt = performance.now() + readEvery * (0.8 + 0.4 * Math.random());
  };
  const readVault = async (): Promise<void> => {
    due();
    for (const name of keyNames) {
      await attempt(`the key \`${name}\` could not be read from the vault`, () => keys[name].load());
    }
  };
  /** Whether anything is new; then the vault is read, and what the database knows is taken. */
  const ask = async (): Promise<boolean> => {
    const asked = performance.now();
    const { now, changes } = await findKeyChanges(pool);
    clock.set(now, asked);
    if (changes === known) return false;
    // With the vault's word, a new version signs as the leaked one goes. Without it, the leaked one goes all the same.
    await Promise.race([readVault(), sleep(longestReading, undefined, { ref: false })]);
    await learnKeys(context);
    known = changes;
    return true;
  };

  const rotateWhatIsOld = async (name: KeyName): Promise<void> => {
    const signing = keys[name].versions().find(({ state }) => state === 'signing');
    if (!signing || clock.now() - signing.createdAt.getTime() <= rotateAfter) return;
    await rotateKey(context, name, 'age').catch((error: unknown) => {
      // Another broker is at it.
      if (!(error instanceof LatchkeyError) || error.code !== 'conflict') throw error;
    });
  };

  /** Does what is due with the keys as they are loaded. */
  const attend = async (): Promise<void> => {
    await attempt('keys could not be written down', async () => {
      await recordKeys(context, keys);
      await learnKeys(context);
    });
    prover.poke((work) => attempt('the ledger’s next key could not be proved', work));
    for (const name of keyNames) {
      if (byAge.includes(name)) await attempt(`the key \`${name}\` could not be rotated`, () => rotateWhatIsOld(name));
      await attempt(`the key \`${name}\` could not be tidied up`, () => disableUnused(context, name));
    }
  };
  const tick = async (): Promise<void> => {
    // While the database is away, nothing can be signed that counts.
    const changed = await ask().catch(() => false);
    if (!changed && performance.now() < readAt) return;
    if (!changed) await readVault();
    await attend();
  };
  const next = (): void => {
    if (closed) return;
    timer = setTimeout(() => {
      running = running.then(tick).finally(next);
    }, askEvery);
    timer.unref();
  };

  running = tick();
  await running;
  next();
  return {
    async close() {
      closed = true;
      clearTimeout(timer);
      await running;
      await prover.close();
    },
  };
}
