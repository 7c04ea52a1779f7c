import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { Response } from 'express';
import type { Subscriber } from '../../src/broker/live-lists.ts';
import { openStream } from '../../src/http/stream.ts';
import { callText, openRaw } from '../support/raw-http.ts';

interface Opened {
  readonly url: string;
  readonly subscribers: Subscriber[];
  readonly gone: Subscriber[];
  readonly stop: () => Promise<void>;
}

/** A server whose every answer is a stream. */
async function streams(): Promise<Opened> {
  const subscribers: Subscriber[] = [];
  const gone: Subscriber[] = [];
  const server = createServer((_, bare) => {
    const response = Object.assign(bare, {
      status: (code: number) => Object.assign(bare, { statusCode: code }),
      set: (headers: Record<string, string>) => bare.setHeaders(new Map(Object.entries(headers))),
    }) as unknown as Response;
    openStream(response, (subscriber) => {
      subscribers.push(subscriber);
      return () => gone.push(subscriber);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    subscribers,
    gone,
    async stop() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const until = async (holds: () => boolean): Promise<void> => {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 300, 'it did not come to that in three seconds');
    await new Promise((later) => setTimeout(later, 10));
  }
};

test('a reader that does not keep up is told so once little is waiting, and dropped', async () => {
  const { url, subscribers, gone, stop } = await streams();
  const socket = openRaw(url).pause();
  socket.write(callText('GET', '/'));
  await until(() => subscribers.length === 1);
  const [subscriber] = subscribers;
  const statement = 'x'.repeat(10_000);
  let sent = 0;
  // What the system's own buffers take does not count: a few megabytes at most.
  while (subscriber!.send(statement) && sent < 5_000) {
    sent++;
    if (sent % 50 === 0) await new Promise((written) => setTimeout(written, 1));
  }
  assert.ok(sent < 5_000, 'it went on waiting');
  subscriber!.drop();
  await until(() => gone.length === 1);
  assert.equal(subscriber!.send(statement), false);
  socket.destroy();
  await stop();
});

test('a reader that keeps up hears everything, and a tidy end', async () => {
  const { url, subscribers, gone, stop } = await streams();
  const response = await fetch(url);
  assert.equal(response.headers.get('cache-control'), 'no-store');
  await until(() => subscribers.length === 1);
  for (let number = 0; number < 100; number++) assert.ok(subscribers[0]!.send(`statement-${number}`));
  await new Promise((written) => setTimeout(written, 20));
  subscribers[0]!.drop();
  const text = await response.text();
  assert.equal(
    text.split('\n\n').filter((event) => event.startsWith('event: live-grants\ndata: statement-')).length,
    100,
  );
  await until(() => gone.length === 1);
  await stop();
});
