import { leaked, type KeyRing } from '../credentials/key-ring.ts';
import { freshKey, keyIdOf, secretOf, type BrokerKeys, type KeyName } from '../credentials/keys.ts';
import type { Vault } from '../credentials/vault.ts';
import { LatchkeyError } from '../domain/errors.ts';
import { endKeyTurn, findSigningKeys, takeKeyTurn, type SigningKey } from '../store/signing-keys.ts';
import type { Known } from '../credentials/key-ring.ts';
import type { CommandContext } from './command.ts';
import { recordKeys, recovering } from './record-keys.ts';

/** What is needed to look after keys. */
export type KeysContext = CommandContext & {
  readonly vault: Vault;
  readonly keys: BrokerKeys;
  /** The origin that names the ledger's keys. */
  readonly origin: string;
  /** The vkey of the ledger's recovery key; null when there is none. */
  readonly recoveryKey: string | null;
};

/** How long somebody may take to make a version, in seconds; whoever died meanwhile keeps nobody waiting for longer. */
const turn = 60;

/** Takes what the database knows of all keys. */
export async function learnKeys({ pool, keys }: Pick<KeysContext, 'pool' | 'keys'>): Promise<void> {
  const rows = await findSigningKeys(pool);
  for (const [name, ring] of Object.entries(keys) as [KeyName, KeyRing<unknown>][]) {
    ring.know(
      knownOf(
        name,
        rows.filter((row) => row.name === name),
      ),
    );
  }
}

function knownOf(name: KeyName, rows: readonly SigningKey[]): Known {
  const isLedger = name === 'ledger' && rows.length > 0;
  const versions = rows.map(({ version, event, recordedAt, provedAt, withdrawnAt }) => {
    // INVARIANT: a key of the ledger's counts only once its forerunner has proved it, or nobody could follow.
    const proved = event === null ? recordedAt : provedAt;
    const since = isLedger ? (proved?.getTime() ?? null) : ('made' as const);
    return [version, { since, withdrawn: withdrawnAt !== null }] as const;
  });
  return { versions: new Map(versions), others: isLedger ? null : 'made' };
}

/**
 * Makes a new version of a key, which signs once its lead has passed.
 * @throws conflict when one is on its way already, or somebody else is at it.
 */
export async function rotateKey(context: KeysContext, name: KeyName, cause: 'age' | 'operator'): Promise<void> {
  await learnKeys(context);
  requireNoneOnItsWay(name, context.keys[name]);
  if (!(await takeKeyTurn(context.pool, name, turn))) {
    throw new LatchkeyError('conflict', `somebody else is rotating \`${name}\`; look again in a minute`);
  }
  // Whoever had the turn before may just have made one.
  await context.keys[name].load();
  await learnKeys(context);
  requireNoneOnItsWay(name, context.keys[name]);
  await addVersion(context, name, cause);
  // If we stop here, the version is there and not yet written down, which any broker does as soon as it reads the vault.
  await context.keys[name].load();
  await recordKeys(context, context.keys);
  await endKeyTurn(context.pool, name);
}

/**
 * Takes all versions of a key out of use at once, because they may be known to others, and makes a new one, which signs
 * at once. The new version's tag alone says all of it: if we stop after making it, whoever reads the vault finishes.
 * @throws invalid-request for the ledger's key: what it signed stays, so only its recovery key may replace it.
 */
export async function replaceLeakedKey(context: KeysContext, name: KeyName): Promise<void> {
  if (name === 'ledger') {
    throw new LatchkeyError(
      'invalid-request',
      'only the recovery key may replace a leaked key of the ledger: see `latchkey keys prepare-recovery`',
    );
  }
  await addVersion(context, name, leaked);
  await context.keys[name].load();
  await recordKeys(context, context.keys);
  await disableUnused(context, name);
}

/** Adds a version, with a tag that still names the key once it is disabled. */
export async function addVersion({ vault, origin }: KeysContext, name: KeyName, cause: string): Promise<void> {
  const value = freshKey(name);
  await vault.addVersion(secretOf(name), value, { tags: { cause, key: await keyIdOf(name, origin, value) } });
}

/** Disables, in the vault, what is not used any more. May be repeated, and done by several at once. */
export async function disableUnused(
  { vault, keys }: Pick<KeysContext, 'vault' | 'keys'>,
  name: KeyName,
): Promise<void> {
  const over = new Set(['retired', 'surplus', 'disabled']);
  // What is no key is left as it is: whoever put it there may have meant something else.
  const unused = keys[name]
    .versions()
    .filter(({ enabled, state, key, leaked: hasLeaked }) => enabled && over.has(state) && (key !== null || hasLeaked));
  for (const { version } of unused) await vault.disable(secretOf(name), version);
  if (unused.length > 0) await keys[name].load();
}

function requireNoneOnItsWay(name: KeyName, ring: KeyRing<unknown>): void {
  const next = ring
    .versions()
    .filter(({ cause }) => cause !== recovering)
    .find(({ state, key }) => key !== null && (state === 'waiting' || state === 'not-yet'));
  if (!next) return;
  const at = ring.signsNext();
  const when = at === null ? 'soon' : `from ${new Date(at).toISOString()} on`;
  throw new LatchkeyError('conflict', `a new version of \`${name}\` is on its way already, and signs ${when}`);
}
