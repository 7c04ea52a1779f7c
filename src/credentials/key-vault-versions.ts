import type { StoredVersion } from './key-vault-calls.ts';
import type { SecretVersion, Tags } from './vault.ts';

/**
 * Of which writing a version is: milliseconds and chance. The service's own times are whole seconds; this puts those of
 * one second into an order, the same for every reader, and shows after a lost answer whether a write has happened.
 */
export const writeTag = 'latchkey-write';
/** On a version that was to be the first of its name. It counts only if it is. */
export const firstTag = 'latchkey-first';

/** A version's tags, without those that are the vault's own. */
export function ownersTags(tags: Tags): Tags {
  return Object.fromEntries(Object.entries(tags).filter(([key]) => key !== writeTag && key !== firstTag));
}

/** The tags that the vault itself has put on a version. */
export function vaultsTags(tags: Tags): Record<string, string> {
  return Object.fromEntries(Object.entries(tags).filter(([key]) => key === writeTag || key === firstTag));
}

export function inOrder(versions: readonly StoredVersion[]): StoredVersion[] {
  const rank = ({ createdAt, tags, version }: StoredVersion): [number, string, string] => [
    createdAt.getTime(),
    tags[writeTag] ?? '',
    version,
  ];
  return versions.toSorted((one, other) => {
    const [a, b] = [rank(one), rank(other)];
    const at = a.findIndex((part, index) => part !== b[index]);
    return at < 0 ? 0 : a[at]! < b[at]! ? -1 : 1;
  });
}

/**
 * True once no version can appear any more that comes before all others. Until then it is not known which of those that
 * wanted to be the first is the first. The service's machines may differ in their clocks by less than `settle`.
 * @param settle milliseconds.
 */
export function isSettled(ordered: readonly StoredVersion[], at: Date, settle: number): boolean {
  const [oldest] = ordered;
  if (!oldest || !ordered.some(({ tags }) => firstTag in tags)) return true;
  return at.getTime() - oldest.createdAt.getTime() >= settle;
}

/** As everyone may know them: what wanted to be the first and is not never counts. */
export function asCounted(ordered: readonly StoredVersion[]): SecretVersion[] {
  return ordered.map(({ version, createdAt, enabled, notBefore, expiresAt, tags }, place) => ({
    version,
    createdAt,
    enabled: enabled && (place === 0 || !(firstTag in tags)),
    notBefore,
    expiresAt,
    tags: ownersTags(tags),
  }));
}
