import { LatchkeyError } from '../domain/errors.ts';
import { scheduleKeys, type KeySchedule, type KeyState, type KeyTimes } from '../domain/key-schedule.ts';
import type { SecretVersion, Vault } from './vault.ts';

/** The cause in the tags of a version that replaces what leaked: with it, whatever is older is used no more. */
export const leaked = 'compromised';

/** What is known of a version of a key beside what the vault has. */
export interface KnownKey {
  /** From when on it counts: since it was made, or from a moment (milliseconds since the epoch); null while it does not. */
  readonly since: 'made' | number | null;
  /** It leaked, or is past its time: whatever the vault says, it is used no more. */
  readonly withdrawn: boolean;
}

/** All that is known of a ring's versions, by what the vault calls them; `others` is what holds for those left out. */
export interface Known {
  readonly versions: ReadonlyMap<string, KnownKey>;
  readonly others: 'made' | null;
}

/** A version as it is loaded here. */
export interface LoadedKey<K> {
  readonly version: string;
  readonly createdAt: Date;
  /** Why it was made, as its tags say. */
  readonly cause: string | null;
  /** As the vault says. */
  readonly enabled: boolean;
  /** A later one was made because this one leaked. */
  readonly leaked: boolean;
  /** Null when it cannot be used; then `reason` says why. */
  readonly key: K | null;
  readonly id: string | null;
  readonly reason: string | null;
}

/** The versions of one of the broker's keys, as last loaded: which signs now, and which verify. */
export interface KeyRing<K> {
  /** The secret that holds it. */
  readonly secret: string;
  readonly times: KeyTimes;
  /** The version that signs now. @throws unavailable when there is none. */
  signing(): K;
  /** Those whose signatures count now, oldest first: the one that signs, those that did, and one that will. */
  published(): readonly K[];
  /** All versions as last loaded, oldest first. */
  versions(): readonly (LoadedKey<K> & { readonly state: KeyState | 'not-yet' })[];
  /**
   * True when the last version that is known to count from a moment on has taken over by now, and cannot be used here:
   * what the others sign alone may soon count no more, or does already.
   */
  isBehind(): boolean;
  /** When the one that waits begins to sign (milliseconds since the epoch); null when none waits. */
  signsNext(): number | null;
  /** Reads the vault again. What was loaded stays when that fails. @throws when the vault cannot be asked. */
  load(): Promise<void>;
  /** Takes what is known of versions beside the vault. Before that, all count since they were made. */
  know(known: Known): void;
  /** Calls back when loading, or what became known, changes what is published; `withdrawn` when something left early. */
  onChange(listener: (withdrawn: boolean) => void): void;
}

export interface KeyRingOptions<K> {
  readonly vault: Vault;
  readonly secret: string;
  readonly times: KeyTimes;
  /** Milliseconds since the epoch, of a clock that brokers share. */
  readonly now: () => number;
  /** Makes the secret's first version. */
  readonly fresh: () => string;
  /** Reads a version's value. @throws with a message that quotes nothing of it. */
  readonly read: (text: string) => Promise<K>;
  readonly idOf: (key: K) => string;
}

/** A ring of which nothing is loaded yet. */
export function createKeyRing<K>(options: KeyRingOptions<K>): KeyRing<K> {
  const { vault, secret, times, now, read, idOf } = options;
  const listeners: ((withdrawn: boolean) => void)[] = [];
  let loaded: readonly LoadedKey<K>[] = [];
  let known: Known = { versions: new Map(), others: 'made' };
  let plan: { readonly made: number; readonly schedule: KeySchedule; readonly published: readonly K[] } | null = null;

  const schedule = (moment: number): KeySchedule => {
    const counting = loaded.flatMap(({ version, createdAt, key }) => {
      const { since, withdrawn } = known.versions.get(version) ?? { since: known.others, withdrawn: false };
      if (since === null) return [];
      const from = since === 'made' ? createdAt.getTime() : since;
      return [{ version, since: from, enabled: key !== null && !withdrawn }];
    });
    return scheduleKeys(counting, moment, times);
  };
  const keyOf = (version: string): K => loaded.find((each) => each.version === version)!.key!;
  const current = (): NonNullable<typeof plan> => {
    const moment = now();
    if (plan && plan.made <= moment && moment < plan.schedule.until) return plan;
    const made = schedule(moment);
    return (plan = { made: moment, schedule: made, published: made.published.map(keyOf) });
  };

  /** Tells whoever listens what a change of what is known makes of what is published at this moment. */
  const change = (apply: () => void): void => {
    const before = current().published.map(idOf);
    apply();
    plan = null;
    const after = current().published.map(idOf);
    const withdrawn = before.some((id) => !after.includes(id));
    if (withdrawn || after.some((id) => !before.includes(id))) for (const listener of listeners) listener(withdrawn);
  };

  const loadOne = async (found: SecretVersion, hasLeaked: boolean): Promise<LoadedKey<K>> => {
    const { version, createdAt, enabled, tags } = found;
    const before = loaded.find((each) => each.version === version);
    const about = { version, createdAt, enabled, leaked: hasLeaked, cause: tags.cause ?? null };
    const unusable = (reason: string): LoadedKey<K> => ({
      ...about,
      key: null,
      id: before?.id ?? tags.key ?? null,
      reason,
    });
    if (hasLeaked) return unusable('it leaked');
    if (!enabled) return unusable('it is disabled');
    if (before?.key) return { ...about, key: before.key, id: before.id, reason: null };
    const text = await vault.getVersion(secret, version);
    if (text === null) return unusable('it is disabled');
    try {
      const key = await read(text);
      return { ...about, key, id: idOf(key), reason: null };
    } catch (error) {
      // What somebody put there that is no key must not keep the others from being used.
      return unusable((error as Error).message);
    }
  };

  return {
    secret,
    times,
    signing() {
      const { schedule: at } = current();
      if (at.signing === null) throw new LatchkeyError('unavailable', `no version of \`${secret}\` can sign`);
      return keyOf(at.signing);
    },
    published: () => current().published,
    versions() {
      const { states } = current().schedule;
      return loaded.map((each) => ({ ...each, state: states.get(each.version) ?? 'not-yet' }));
    },
    isBehind() {
      const [version, last] = [...known.versions].findLast(([, { since }]) => typeof since === 'number') ?? [];
      if (!last || (last.since as number) + times.lead > now()) return false;
      return last.withdrawn || !loaded.some((each) => each.version === version && each.key !== null);
    },
    signsNext: () => current().schedule.signsNext,
    async load() {
      let found = await vault.versions(secret);
      if (found.length === 0) {
        await vault.create(secret, options.fresh());
        found = await vault.versions(secret);
      }
      const replacement = found.findLastIndex(({ tags }) => tags.cause === leaked);
      const next: LoadedKey<K>[] = [];
      for (const [place, version] of found.entries()) next.push(await loadOne(version, place < replacement));
      change(() => (loaded = next));
    },
    know(next) {
      change(() => (known = next));
    },
    onChange(listener) {
      listeners.push(listener);
    },
  };
}
