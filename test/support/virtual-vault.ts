import type { SecretVersion, Tags, Vault } from '../../src/credentials/vault.ts';

interface Kept {
  readonly about: SecretVersion;
  readonly value: string;
}

/** A vault of which a test holds the clock, and which is away when the test says so. It lasts as long as the test. */
export interface VirtualVault extends Vault {
  /** When set, each call fails with it, before anything happened, or after it did. */
  failing: { readonly error: Error; readonly happened: boolean } | null;
  /** Names of the calls that were made. */
  readonly calls: string[];
}

export function newVirtualVault(now: () => number): VirtualVault {
  const secrets = new Map<string, Kept[]>();
  let count = 0;
  const of = (name: string): Kept[] => secrets.get(name) ?? [];
  const add = (name: string, value: string, tags: Tags): SecretVersion => {
    const about = {
      version: `v${++count}`,
      createdAt: new Date(now()),
      enabled: true,
      notBefore: null,
      expiresAt: null,
      tags,
    };
    secrets.set(name, [...of(name), { about, value }]);
    return about;
  };
  const change = (name: string, version: string, make: (about: SecretVersion) => SecretVersion): void => {
    secrets.set(
      name,
      of(name).map((kept) => (kept.about.version === version ? { ...kept, about: make(kept.about) } : kept)),
    );
  };
  const call = async <T>(what: string, work: () => T): Promise<T> => {
    vault.calls.push(what);
    const { failing } = vault;
    if (failing && !failing.happened) throw failing.error;
    const done = work();
    if (failing) throw failing.error;
    return done;
  };
  const newest = (name: string): string | null => of(name).findLast(({ about }) => about.enabled)?.value ?? null;
  const vault: VirtualVault = {
    failing: null,
    calls: [],
    get: (name) => call('get', () => newest(name)),
    create: (name, value) =>
      call('create', () => {
        if (of(name).length === 0) add(name, value, {});
        return newest(name)!;
      }),
    replace: (name, value) =>
      call('replace', () => {
        secrets.delete(name);
        add(name, value, {});
      }),
    addVersion: (name, value, options) => call('addVersion', () => add(name, value, options?.tags ?? {})),
    versions: (name) => call('versions', () => of(name).map(({ about }) => about)),
    getVersion: (name, version) =>
      call('getVersion', () => {
        const found = of(name).find(({ about }) => about.version === version);
        return found?.about.enabled ? found.value : null;
      }),
    setTags: (name, version, tags) => call('setTags', () => change(name, version, (about) => ({ ...about, tags }))),
    disable: (name, version) => call('disable', () => change(name, version, (about) => ({ ...about, enabled: false }))),
    remove: (name) => call('remove', () => void secrets.delete(name)),
    health: () => ({ circuit: 'closed', awaySince: null }),
    close: async () => {},
  };
  return vault;
}
