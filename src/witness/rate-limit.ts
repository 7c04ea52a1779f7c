interface Bucket {
  tokens: number;
  at: number;
}

const mostKeys = 10_000;

/** Token buckets, one for each key. Of the least recently seen keys, those beyond 10,000 are forgotten. */
export function createRateLimit(
  { perSecond, burst }: { readonly perSecond: number; readonly burst: number },
  now: () => number = Date.now,
): (key: string) => boolean {
  const buckets = new Map<string, Bucket>();
  return (key) => {
    const at = now();
    const before = buckets.get(key) ?? { tokens: burst, at };
    const tokens = Math.min(burst, before.tokens + (Math.max(0, at - before.at) / 1_000) * perSecond);
    const admitted = tokens >= 1;
    buckets.delete(key);
    buckets.set(key, { tokens: admitted ? tokens - 1 : tokens, at });
    if (buckets.size > mostKeys) buckets.delete(buckets.keys().next().value!);
    return admitted;
  };
}
