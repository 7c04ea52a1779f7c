import { keyNames, loadKeys, type KeyName } from '../credentials/keys.ts';
import type { Rotation } from '../credentials/rotation.ts';
import { loadSealer } from '../credentials/seal.ts';
import type { Vault } from '../credentials/vault.ts';
import { invalid } from '../domain/errors.ts';
import { requireCurrentSchema } from '../store/migrate.ts';
import { openPool } from '../store/pool.ts';
import { prepareRecovery, recoverLedgerKey } from './recover-ledger-key.ts';
import { recordKeys } from './record-keys.ts';
import { openSharedClock } from './shared-clock.ts';
import { disableUnused, learnKeys, replaceLeakedKey, rotateKey, type KeysContext } from './rotate-keys.ts';

/** A version of a key, as an operator sees it. */
export interface KeyLine {
  readonly name: KeyName;
  readonly key: string | null;
  readonly state: string;
  readonly createdAt: string;
  readonly signsFrom: string | null;
  readonly cause: string | null;
}

/** What an operator does with the broker's keys, beside brokers that run or none. */
export interface KeysDesk {
  list(): Promise<KeyLine[]>;
  /** @throws invalid-request for a name that is none; conflict when a version is on its way already. */
  rotate(name: string, compromised: boolean): Promise<void>;
  /** See `prepareRecovery`. */
  prepareRecovery(): Promise<string>;
  /** See `recoverLedgerKey`. */
  recover(statement: string): Promise<void>;
}

/** What the desk needs of a broker's configuration. */
export interface DeskConfig {
  readonly region: string;
  readonly ledger: { readonly origin: string; readonly recoveryKey?: string };
  readonly keys: Pick<Rotation, 'times'>;
}

/** Opens database and keys for the work, and lets go of them. @throws when either cannot be had. */
export async function withKeysDesk<T>(
  about: { readonly config: DeskConfig; readonly url: string; readonly vault: Vault },
  work: (desk: KeysDesk, context: KeysContext) => Promise<T>,
): Promise<T> {
  const { config, url, vault } = about;
  const { origin, recoveryKey = null } = config.ledger;
  const pool = openPool({ url, size: 2 });
  try {
    await requireCurrentSchema(pool);
    const { now } = await openSharedClock(pool);
    const keys = await loadKeys(vault, origin, { times: config.keys.times, now });
    const sealer = await loadSealer(vault);
    // Brokers find what was written by looking.
    const ledger = { poke: () => {} };
    const context = { pool, region: config.region, sealer, ledger, vault, keys, origin, recoveryKey };
    return await work(await openKeysDesk(context), context);
  } finally {
    await pool.end();
  }
}

/** Takes keys that were just loaded, and what the database knows of them. */
export async function openKeysDesk(context: KeysContext): Promise<KeysDesk> {
  const { keys } = context;
  await learnKeys(context);
  await recordKeys(context, keys);
  await learnKeys(context);
  return {
    list: async () => keyNames.flatMap((name) => linesOf(context, name)),
    async rotate(text, compromised) {
      const name = keyNames.find((each) => each === text);
      if (!name) throw invalid('/name', `there is no key \`${text}\`, only \`${keyNames.join('`, `')}\``);
      await (compromised ? replaceLeakedKey(context, name) : rotateKey(context, name, 'operator'));
      await learnKeys(context);
      await disableUnused(context, name);
    },
    prepareRecovery: () => prepareRecovery(context),
    async recover(statement) {
      await recoverLedgerKey(context, statement);
      await learnKeys(context);
      await disableUnused(context, 'ledger');
    },
  };
}

function linesOf({ keys }: KeysContext, name: KeyName): KeyLine[] {
  const at = keys[name].signsNext();
  return keys[name].versions().map(({ id, state, createdAt, cause, leaked }) => ({
    name,
    key: id,
    state: leaked ? 'leaked' : state,
    createdAt: createdAt.toISOString(),
    signsFrom: state === 'waiting' && at !== null ? new Date(at).toISOString() : null,
    cause,
  }));
}
