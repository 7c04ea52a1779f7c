import { parseArgs } from 'node:util';
import type { LedgerFeed } from '../../ledger/feed.ts';
import { readAddress, readEndpoint } from '../addresses.ts';
import { openRunner } from '../desk.ts';
import { exitCodes, Failure } from '../failure.ts';
import type { Io } from '../io.ts';
import { databaseFailure, usageFailure } from '../ledger-failures.ts';
import { fileBookmark, noBookmark } from './bookmark.ts';
import { follow } from './follow.ts';
import { openHttpFeed } from './http-feed.ts';
import { bodies, httpSink, type Body } from './http-sink.ts';
import { formats, lineMaker, type Format } from './lines.ts';
import { fileSink, outputSink, type Sink } from './sinks.ts';

export const watchUsage =
  'usage: latchkey ledger watch --url URL | --database URL [--format ocsf|json] [--to -|FILE|https://…]' +
  ' [--body lines|array] [--state FILE] [--once]';

/** How often `--once` sends a batch before it gives up. */
const triesOnce = 6;

interface WatchOptions {
  readonly url: string | null;
  readonly database: string | null;
  readonly format: Format;
  readonly to: string;
  readonly body: Body;
  readonly state: string | null;
  readonly once: boolean;
}

/**
 * `latchkey ledger watch`: passes the ledger on as it grows, until it is told to stop.
 * @param openDatabase handed in by whoever has a store.
 */
export async function runLedgerWatch(
  argv: readonly string[],
  io: Io,
  openDatabase: (url: string) => Promise<LedgerFeed>,
): Promise<number> {
  const runner = openRunner(io);
  await runner.run({}, async ({ printer }) => {
    const options = readOptions(argv);
    if (!options) {
      io.stdout.write(`${watchUsage}\n`);
      return exitCodes.done;
    }
    const troubled = (why: string): void => printer.note(`latchkey: ${why}`);
    const feed =
      options.database === null
        ? openHttpFeed(readAddress(options.url!, 'the broker'), io)
        : inOwnWords(await openDatabase(options.database));
    try {
      await follow({
        feed,
        lineOf: lineMaker(options.format, feed),
        sink: openSink(options, io, troubled),
        bookmark: options.state === null ? noBookmark : fileBookmark(options.state),
        once: options.once,
        signal: io.signal,
        troubled,
      });
    } finally {
      await feed.close();
    }
    return exitCodes.done;
  });
  return runner.exitCode();
}

function openSink({ to, body, once }: WatchOptions, io: Io, troubled: (why: string) => void): Sink {
  if (to === '-') return outputSink(io.stdout);
  if (!/^https?:/i.test(to)) return fileSink(to);
  const url = readEndpoint(to, 'the sink');
  if (url.username || url.password) {
    throw new Failure('usage', 'the address of the sink carries a password', {
      hint: 'set `LATCHKEY_SINK_AUTHORIZATION` to the header instead',
    });
  }
  const authorization = io.env['LATCHKEY_SINK_AUTHORIZATION'] || null;
  const tries = once ? triesOnce : Number.POSITIVE_INFINITY;
  return httpSink({ url, authorization, body, tries, signal: io.signal, troubled });
}

/** The same feed, its failures put so that a person can act, and what may pass told from what may not. */
function inOwnWords(feed: LedgerFeed): LedgerFeed {
  const put = (error: unknown): never => {
    throw databaseFailure(error, 'use the URL of a role that may read the ledger, as `latchkey_auditor` may');
  };
  return {
    read: (from, limit) => feed.read(from, limit).catch(put),
    grant: (id) => feed.grant(id).catch(put),
    close: () => feed.close(),
  };
}

/** Null when help was asked for. */
function readOptions(argv: readonly string[]): WatchOptions | null {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        url: { type: 'string' },
        database: { type: 'string' },
        format: { type: 'string', default: 'ocsf' },
        to: { type: 'string', default: '-' },
        body: { type: 'string', default: 'lines' },
        state: { type: 'string' },
        once: { type: 'boolean', default: false },
        help: { type: 'boolean' },
      },
    });
    if (values.help) return null;
    const { url = null, database = null, state = null, to, once } = values;
    if ((url === null) === (database === null)) throw new Error('name the ledger, with either `--url` or `--database`');
    const format = oneOf(formats, values.format, '--format');
    return { url, database, state, to, once, format, body: oneOf(bodies, values.body, '--body') };
  } catch (error) {
    throw usageFailure(error, watchUsage);
  }
}

function oneOf<T extends string>(words: readonly T[], word: string, option: string): T {
  const found = words.find((each) => each === word);
  if (found === undefined) throw new Error(`\`${option}\` is one of ${words.map((each) => `\`${each}\``).join(', ')}`);
  return found;
}
