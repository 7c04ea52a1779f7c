import { isIPv6 } from 'node:net';
import { LatchkeyError } from '../domain/errors.ts';

export interface RateLimit {
  /** Calls a second, on average. */
  readonly perSecond: number;
  /** Calls at once. */
  readonly burst: number;
}

/**
 * Counts a call of that key.
 * @param weight what the call counts for, at most 1.
 * @throws too-many-requests with the seconds to wait.
 */
export type Limiter = (key: string, weight?: number) => void;

interface Bucket {
  tokens: number;
  at: number;
}

const most = 50_000;

/** Token buckets, one for each key, in this process. Of the least recently seen keys, those beyond 50,000 are forgotten. */
export function createRateLimiter(limit: RateLimit, now: () => number = () => performance.now()): Limiter {
  const buckets = new Map<string, Bucket>();
  return (key, weight = 1) => {
    const at = now();
    const bucket = buckets.get(key) ?? { tokens: limit.burst, at };
    bucket.tokens = Math.min(limit.burst, bucket.tokens + (Math.max(0, at - bucket.at) / 1000) * limit.perSecond);
    bucket.at = at;
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size > most) buckets.delete(buckets.keys().next().value!);
    if (bucket.tokens < weight) {
      const retryAfter = Math.max(1, Math.ceil((weight - bucket.tokens) / limit.perSecond));
      throw new LatchkeyError('too-many-requests', 'too many calls: slow down', { retryAfter });
    }
    bucket.tokens -= weight;
  };
}

/** What counts as one address: of IPv6 the network of 64 bits, all of which any customer line has to itself. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped) return mapped[1]!;
  const [left = [], right] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const between = right ? Array.from({ length: 8 - left.length - right.length }, () => '0') : [];
  const groups = [...left, ...between, ...(right ?? [])].slice(0, 4);
  return groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':');
}
