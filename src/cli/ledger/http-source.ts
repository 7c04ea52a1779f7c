import { setTimeout as sleep } from 'node:timers/promises';
import type { LedgerSource } from '../../ledger/audit-source.ts';
import { parseCheckpoint } from '../../ledger/checkpoint.ts';
import { parseNote } from '../../ledger/note.ts';
import { rangesBetween, readAhead } from '../../ledger/read-ahead.ts';
import { hashLength } from '../../ledger/merkle.ts';
import { mostPinnedKeys } from '../../ledger/pinned-keys.ts';
import { noKeysServed, parseServedKeys, type ServedKeys, type ServedRotation } from '../../ledger/served-keys.ts';
import { parseEntryBundle, tilePath, tileWidth, widthOf, type Tile } from '../../ledger/tiles.ts';
import { Failure } from '../failure.ts';
import { interrupted, networkWords } from '../transport.ts';
import { problemFailure } from '../problem.ts';

/** Bundles on their way at once: enough to keep a verifier busy, few enough to keep nobody else waiting. */
const bundlesAhead = 8;
const patience = 30_000;
const retryDelays = [200, 1_000, 3_000];
/** A broker that limits how fast it is asked is asked again for as long as it takes; its own word is taken up to this (seconds). */
const longestAsked = 30;

export interface HttpSourceOptions {
  /** The broker's address. */
  readonly url: string;
  /** An auditor's token; null reads what is public: checkpoint and tiles, no entries. */
  readonly token: string | null;
  readonly signal: AbortSignal;
}

/** Reads a ledger over C2SP tlog-tiles, as any broker or mirror serves it. @throws Failure when it cannot be had. */
export async function openLedgerUrl(options: HttpSourceOptions): Promise<LedgerSource> {
  const note = await fetchBytes(options, 'checkpoint');
  const checkpoint = note && note.toString('utf8');
  const size = checkpoint ? parseCheckpoint(parseNote(checkpoint).text).size : 0;

  const bundle = async ([from, to]: readonly [number, number]): Promise<(Uint8Array | null)[]> => {
    const index = Math.floor(from / tileWidth);
    const width = widthOf(0, index, size);
    const bytes = await fetchBytes(options, tilePath({ level: 'entries', index, width }));
    // A bundle that does not come apart in its entries is as good as gone.
    const entries = bytes ? readBundle(bytes, width) : null;
    return Array.from({ length: to - from }, (_, place) => entries?.[from - index * tileWidth + place] ?? null);
  };
  return {
    checkpoint,
    entries: (from, to) => readAhead(rangesBetween(from, to, tileWidth), bundlesAhead, bundle),
    async tile(level, index, width) {
      const tile: Tile = { level, index, width: widthOf(level, index, size) };
      return (await fetchBytes(options, tilePath(tile)))?.subarray(0, width * hashLength) ?? null;
    },
    keys: () => fetchKeys(options),
    close: async () => {},
  };
}

function readBundle(bytes: Uint8Array, width: number): Uint8Array[] | null {
  try {
    return parseEntryBundle(bytes, width);
  } catch {
    return null;
  }
}

/** A mirror of the ledger may not serve its keys: then there are none to follow. */
async function fetchKeys(options: HttpSourceOptions): Promise<ServedKeys> {
  const rotations: ServedRotation[] = [];
  for (;;) {
    const after = rotations.at(-1);
    const query = after ? `?after=${encodeURIComponent(after.to)}` : '';
    const bytes = await fetchBytes(options, `v1/ledger/keys${query}`, '');
    if (!bytes) return noKeysServed;
    const served = readServed(bytes);
    if (served.rotations.length === 0 || rotations.length > mostPinnedKeys) return { ...served, rotations };
    rotations.push(...served.rotations);
  }
}

function readServed(bytes: Buffer): ServedKeys {
  try {
    return parseServedKeys(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new Failure('failed', 'what the broker says of the ledger’s keys cannot be read', { cause });
  }
}

/** What lies at a path below the ledger's; null when there is nothing. */
async function fetchBytes(
  { url, token, signal }: HttpSourceOptions,
  path: string,
  below = 'ledger/',
): Promise<Buffer | null> {
  for (let tries = 0; ; tries++) {
    const delay = retryDelays[tries];
    let response: Response;
    try {
      response = await fetch(`${url}/${below}${path}`, {
        headers: token !== null && path.startsWith('tile/entries/') ? { authorization: `Bearer ${token}` } : {},
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]),
      });
      if (response.status === 200) return Buffer.from(await response.arrayBuffer());
    } catch (cause) {
      if (signal.aborted) throw interrupted();
      if (delay === undefined) {
        throw new Failure('unreachable', `the ledger at \`${url}\` cannot be read: ${networkWords(cause)}`, { cause });
      }
      await pause(delay, signal);
      continue;
    }
    if (response.status === 404) return null;
    const busy = response.status === 429;
    if (!busy && (delay === undefined || response.status < 500)) {
      throw problemFailure(response.status, await response.json().catch(() => undefined), url);
    }
    await response.body?.cancel();
    const asked = Number(response.headers.get('retry-after') ?? 0);
    await pause(Math.max(delay ?? retryDelays[0]!, Math.min(asked, longestAsked) * 1_000), signal);
  }
}

/** @throws Failure when it is interrupted. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {
    throw interrupted();
  });
}
