import type { CryptoKey } from 'jose';

/** Remembers which texts were signed by which key, and nothing else that may change: no time, no claim, no person. */
export interface VerifiedTexts {
  has(key: CryptoKey, hash: string): boolean;
  add(key: CryptoKey, hash: string): void;
}

/**
 * Keeps the hashes of the last texts whose signature held, key by key: verifying anew would give the same answer.
 * INVARIANT: a key's texts go with the key object, so that a provider's new key set starts with nothing remembered.
 */
export function createVerifiedTexts(perKey = 10_000): VerifiedTexts {
  const texts = new WeakMap<CryptoKey, Set<string>>();
  return {
    has: (key, hash) => texts.get(key)?.has(hash) ?? false,
    add(key, hash) {
      const known = texts.get(key) ?? new Set();
      texts.set(key, known.add(hash));
      if (known.size > perKey) known.delete(known.values().next().value!);
    },
  };
}
