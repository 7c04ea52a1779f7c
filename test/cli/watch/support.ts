import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { text } from 'node:stream/consumers';
import type { Io } from '../../../src/cli/main.ts';
import { runLedgerWatch } from '../../../src/cli/watch/command.ts';
import { broker as theBroker, eventOf } from '../../../src/ledger/events.ts';
import { appendEvents } from '../../../src/store/events.ts';
import { openDatabaseFeed } from '../../../src/store/ledger-feed.ts';
import { inTransaction } from '../../../src/store/transaction.ts';
import type { TestBroker } from '../../support/broker.ts';

export interface Watched {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface WatchOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly onStdout?: (text: string) => void;
}

/** Types a `latchkey ledger watch`. */
export async function watch(argv: readonly string[], options: WatchOptions = {}): Promise<Watched> {
  const [stdout, stderr] = [[] as string[], [] as string[]];
  const io: Io = {
    stdout: {
      write: (piece) => {
        stdout.push(piece.toString());
        options.onStdout?.(stdout.join(''));
      },
    },
    stderr: { write: (piece) => stderr.push(piece.toString()) },
    env: options.env ?? {},
    now: Date.now,
    signal: options.signal ?? new AbortController().signal,
  };
  const code = await runLedgerWatch(argv, io, async (url) => openDatabaseFeed(url));
  return { code, stdout: stdout.join(''), stderr: stderr.join('') };
}

/** Writes so many events in one transaction, and waits until all have their positions. @returns the ledger's size. */
export async function grow(broker: TestBroker, count: number): Promise<number> {
  const about = { at: new Date(), region: 'EU', tenant: broker.contoso.id, actor: theBroker };
  const events = Array.from({ length: count }, () =>
    eventOf({ type: 'tenant.changed', slug: 'contoso', change: 'renamed' }, about),
  );
  await inTransaction(broker.sql, async (tx) => appendEvents(tx, events, []));
  for (;;) {
    const { rows } = await broker.sql.query<{ left: string; size: number }>(
      'SELECT (SELECT count(*) FROM ledger_inbox) AS left, size FROM ledger_state',
    );
    if (Number(rows[0]!.left) === 0) return rows[0]!.size;
    await sleep(20);
  }
}

/** The positions of a stream in OCSF form, after a look that each line is whole. */
export function sequencesOf(lines: readonly string[]): number[] {
  return lines.map((line) => (JSON.parse(line) as { metadata: { sequence: number } }).metadata.sequence);
}

export function linesOf(stream: string): string[] {
  if (stream === '') return [];
  if (!stream.endsWith('\n')) throw new Error('the stream ends within a line');
  return stream.slice(0, -1).split('\n');
}

export const upTo = (size: number): number[] => Array.from({ length: size }, (_, index) => index);

/** What a collector does with a batch: an answer with a status, or none at all. */
export type Reaction = { readonly status: number; readonly headers?: Record<string, string> } | 'hang-up';

export interface Collector {
  readonly url: string;
  /** The lines of the batches that were answered with 2xx, in the order of the answers. */
  readonly taken: string[][];
  readonly calls: { readonly headers: IncomingHttpHeaders; readonly body: string }[];
  /** Asked for each batch; by default all are taken. */
  react: (call: number, body: string) => Reaction | Promise<Reaction>;
  stop(): Promise<void>;
}

/** An HTTP server on loopback that collects what it is sent. */
export async function startCollector(): Promise<Collector> {
  const collector: Omit<Collector, 'stop'> & { url: string } = {
    url: '',
    taken: [],
    calls: [],
    react: () => ({ status: 200 }),
  };
  const server = createServer((request, response) => void answer(request, response));
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    collector.calls.push({ headers: request.headers, body });
    const reaction = await collector.react(collector.calls.length, body);
    if (reaction === 'hang-up') {
      request.socket.destroy();
      return;
    }
    if (reaction.status < 300) {
      const isArray = request.headers['content-type'] === 'application/json';
      collector.taken.push(
        isArray ? (JSON.parse(body) as object[]).map((each) => JSON.stringify(each)) : linesOf(body),
      );
    }
    response.writeHead(reaction.status, reaction.headers);
    response.end();
  }
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  collector.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
  return Object.assign(collector, {
    async stop() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  });
}

export interface Folder {
  path(name: string): string;
  read(name: string): Promise<string>;
  remove(): Promise<void>;
}

export async function newFolder(): Promise<Folder> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-watch-'));
  const path = (name: string): string => join(directory, name);
  return {
    path,
    read: (name) => readFile(path(name), 'utf8'),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
