import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCircuitBreaker } from './circuit-breaker.ts';
import {
  KeyVaultAnswer,
  openKeyVaultCalls,
  type KeyVaultCalls,
  type KeyVaultTarget,
  type StoredVersion,
} from './key-vault-calls.ts';
import { asCounted, firstTag, inOrder, isSettled, ownersTags, vaultsTags, writeTag } from './key-vault-versions.ts';
import { createSharedFlights } from './shared-flight.ts';
import {
  requireName,
  requireStorable,
  requireTags,
  VaultUnavailable,
  type SecretVersion,
  type Vault,
  type VaultHealth,
} from './vault.ts';

export interface KeyVaultOptions extends KeyVaultTarget {
  /** Told when the vault goes away, is tried again, and is back. */
  readonly onChange?: (health: VaultHealth) => void;
}

/** Milliseconds after which no version can be dated before one that is there. */
const settle = 3_000;
const lookAgain = 500;
/** Milliseconds that a name may take to be free again, or to be seen among the deleted ones. */
const longestRemoval = 30_000;
const writeTries = 3;

/**
 * Azure Key Vault. It has no conditional write, so whoever makes a secret marks it as meant to be the first, and of those
 * the one that the service has put first counts, for everyone alike, once no earlier one can appear. It cannot drop
 * single versions: what is replaced is disabled.
 */
export async function openKeyVault({ onChange, ...target }: KeyVaultOptions): Promise<Vault> {
  const ended = new AbortController();
  const direct = await openKeyVaultCalls(target, ended.signal);
  const { url } = target;
  const breaker = createCircuitBreaker({
    failures: 3,
    firstPause: 1_000,
    longestPause: 30_000,
    isFailure: (error) => error instanceof VaultUnavailable,
    refuse: (wait) =>
      new VaultUnavailable(`the vault \`${url}\` did not answer and is left alone`, Math.ceil(wait / 1000)),
    ...(onChange && { onChange }),
  });
  const calls = guarded(direct, (work) => breaker.run(work));
  const texts = createSharedFlights<string | null>();
  const lists = createSharedFlights<StoredVersion[]>();

  /** All versions in order, once it is settled which is the first. */
  const list = async (name: string): Promise<StoredVersion[]> => {
    for (;;) {
      const { versions, at } = await calls.list(name);
      const ordered = inOrder(versions);
      if (isSettled(ordered, at, settle)) return ordered;
      await sleep(lookAgain);
    }
  };
  const versions = async (name: string): Promise<SecretVersion[]> =>
    asCounted(await lists(requireName(name), () => list(name)));

  const read = async (name: string, version: string): Promise<StoredVersion | null> => {
    try {
      return await calls.get(name, version);
    } catch (error) {
      if (isAnswer(error, 404) || isAnswer(error, 403, 'SecretDisabled')) return null;
      // A version that is not of the service's form.
      if (isAnswer(error, 400) && version !== '') return null;
      throw explain(error, name, url);
    }
  };
  const newest = async (name: string): Promise<string | null> => {
    const latest = await read(name, '');
    if (latest && !(firstTag in latest.tags)) return latest.value ?? null;
    for (;;) {
      const version = asCounted(await list(name)).findLast(({ enabled }) => enabled)?.version;
      if (version === undefined) return null;
      const found = await read(name, version);
      // Disabled meanwhile: then another one is the newest.
      if (found) return found.value ?? null;
    }
  };

  let lastWrite = 0;
  /** Writes a version, once: after a lost answer it looks whether it is there. */
  const write = async (name: string, value: string, tags: Record<string, string>): Promise<StoredVersion> => {
    lastWrite = Math.max(Date.now(), lastWrite + 1);
    const mark = `${String(lastWrite).padStart(15, '0')}-${randomBytes(6).toString('hex')}`;
    const started = performance.now();
    for (let attempt = 1; ; attempt++) {
      try {
        return await calls.set(name, value, { ...tags, [writeTag]: mark });
      } catch (error) {
        if (isAnswer(error, 409) && /Being(?:Deleted|Recovered)/.test((error as KeyVaultAnswer).code)) {
          if (performance.now() - started > longestRemoval) throw explain(error, name, url);
          await sleep(2 * lookAgain);
          continue;
        }
        if (!(error instanceof VaultUnavailable)) throw explain(error, name, url);
        const written = (await calls.list(name)).versions.find((version) => version.tags[writeTag] === mark);
        if (written) return written;
        if (attempt === writeTries) throw error;
        await sleep(lookAgain * (0.5 + Math.random()));
      }
    }
  };
  const update = async (
    name: string,
    version: string,
    changeOf: (found: StoredVersion) => Parameters<KeyVaultCalls['update']>[2],
  ): Promise<void> => {
    const found = (await calls.list(requireName(name))).versions.find((other) => other.version === version);
    if (!found) throw new Error(`the secret \`${name}\` has no version \`${version}\``);
    try {
      await calls.update(name, version, changeOf(found));
    } catch (error) {
      throw explain(error, name, url);
    }
  };
  const disable = (name: string, version: string): Promise<void> => update(name, version, () => ({ enabled: false }));

  return {
    get: (name) => texts(requireName(name), () => newest(name)),
    async create(name, value) {
      requireStorable(name, value);
      const known = await list(name);
      const own = known.length > 0 ? null : await write(name, value, { [firstTag]: 'true' });
      // If we stop here, the secret is made; which of several counts is settled by whoever reads it.
      const counted = asCounted(await list(name));
      if (own && counted.some(({ version, enabled }) => version === own.version && !enabled)) {
        // It counts no more; that nobody can even read it is tidiness.
        await disable(name, own.version).catch(() => {});
      }
      const kept = await newest(name);
      if (kept === null) throw new Error(`the secret \`${name}\` was disabled or removed, and cannot be made anew`);
      return kept;
    },
    async replace(name, value) {
      requireStorable(name, value);
      const own = await write(name, value, {});
      // If we stop here, the new version is the newest already, and the next `replace` disables what is left.
      const ordered = inOrder((await calls.list(name)).versions);
      const older = ordered.slice(
        0,
        ordered.findIndex(({ version }) => version === own.version),
      );
      for (const { version, enabled } of older) if (enabled) await disable(name, version);
    },
    async addVersion(name, value, { tags = {} } = {}) {
      requireStorable(name, value, tags);
      const { value: _, ...written } = await write(name, value, { ...tags });
      return { ...written, tags: ownersTags(written.tags) };
    },
    versions,
    getVersion: (name, version) =>
      texts(`${requireName(name)}/${version}`, async () => {
        const found = version === '' ? null : await read(name, version);
        if (!found || !(firstTag in found.tags)) return found?.value ?? null;
        return asCounted(await list(name)).some((other) => other.version === version && other.enabled)
          ? (found.value ?? null)
          : null;
      }),
    async setTags(name, version, tags) {
      requireTags(name, tags);
      await update(name, version, (found) => ({ tags: { ...tags, ...vaultsTags(found.tags) } }));
    },
    disable,
    async remove(name) {
      requireName(name);
      try {
        const wasThere = await done(calls.delete(name));
        // If we stop here, nobody reads it any more, and removing it again goes on from here.
        if (await isSeenDeleted(calls, name, wasThere)) await done(calls.purge(name), 403);
      } catch (error) {
        throw explain(error, name, url);
      }
    },
    health: () => breaker.health(),
    close: async () => ended.abort(),
  };
}

type Run = <T>(work: () => Promise<T>) => Promise<T>;

function guarded(calls: KeyVaultCalls, run: Run): KeyVaultCalls {
  return {
    get: (...args) => run(() => calls.get(...args)),
    set: (...args) => run(() => calls.set(...args)),
    update: (...args) => run(() => calls.update(...args)),
    list: (...args) => run(() => calls.list(...args)),
    delete: (...args) => run(() => calls.delete(...args)),
    getDeleted: (...args) => run(() => calls.getDeleted(...args)),
    purge: (...args) => run(() => calls.purge(...args)),
  };
}

function isAnswer(error: unknown, status: number, code?: string): boolean {
  return error instanceof KeyVaultAnswer && error.status === status && (code === undefined || error.code === code);
}

/** Whether a call had something to do: false when what it was for was not there, or it may not. */
async function done(call: Promise<void>, orElse?: number): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (isAnswer(error, 404) || (orElse !== undefined && isAnswer(error, orElse))) return false;
    throw error;
  }
}

/** Waits until a deletion is over, as it must be before a purge. @returns false when nothing is to be purged, or it may not be. */
async function isSeenDeleted(calls: KeyVaultCalls, name: string, wasThere: boolean): Promise<boolean> {
  const started = performance.now();
  for (;;) {
    try {
      if (await done(calls.getDeleted(name))) return true;
    } catch (error) {
      if (isAnswer(error, 403)) return false;
      throw error;
    }
    if (!wasThere || performance.now() - started > longestRemoval) return false;
    await sleep(lookAgain);
  }
}

/** Says what the service said in words that help. */
function explain(error: unknown, name: string, url: string): unknown {
  if (!(error instanceof KeyVaultAnswer)) return error;
  const { status, code } = error;
  if (status === 403) {
    const hint = 'give the identity it runs as the role `Key Vault Secrets Officer`';
    return new VaultUnavailable(`the vault \`${url}\` does not let the broker use \`${name}\` (\`${code}\`): ${hint}`);
  }
  if (code === 'ObjectIsDeletedButRecoverable') {
    return new VaultUnavailable(`the secret \`${name}\` was deleted in the vault \`${url}\`: recover it, or purge it`);
  }
  return new VaultUnavailable(`the vault \`${url}\` answered ${status} (\`${code}\`) for \`${name}\``);
}
