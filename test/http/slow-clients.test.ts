import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';
import { callText, openRaw, say } from '../support/raw-http.ts';

let broker: TestBroker;
let url: string;
let bearer: readonly [string, string];
before(async () => {
  broker = await newTestBroker({ config: { timeouts: { headers: 'PT1S', body: 'PT1S' } } });
  url = broker.brokers[0]!.url;
  bearer = ['Authorization', `Bearer ${await broker.issuer.tokenFor(people.ada)}`];
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
});

const json = ['Content-Type', 'application/json'] as const;

test('headers that trickle are cut off with 408', async () => {
  const socket = openRaw(url);
  let received = '';
  socket.on('data', (chunk) => (received += chunk.toString()));
  socket.write('GET /v1/me HTTP/1.1\r\nHost: latchkey.test\r\n');
  const trickle = setInterval(() => socket.write('X-A: b\r\n'), 100);
  await new Promise((closed) => socket.once('close', closed));
  clearInterval(trickle);
  assert.match(received, /^HTTP\/1\.1 408 Request Timeout\r\n/);
  assert.match(received, /urn:latchkey:problem:request-timeout/);
  assert.match(received, /X-Request-Id: /);
});

test('a connection that says nothing is closed', async () => {
  const { closedAfter } = await say(url, '');
  assert.ok(closedAfter! < 5_000, String(closedAfter));
});

test('a body that trickles is 408, and the connection closes', async () => {
  const head = callText('POST', '/v1/requests', [bearer, json, ['Content-Length', '50']]);
  const { answers, closedAfter } = await say(url, `${head}{`, 1_500);
  assert.equal(answers[0]?.status, 408);
  assert.match(answers[0].body, /urn:latchkey:problem:request-timeout/);
  assert.ok(answers[0].headers['x-request-id']);
  assert.ok(closedAfter !== null && closedAfter < 5_000);
});

test('a body that is cut off changes nothing', async () => {
  const before = (await broker.events('request.submitted')).length;
  const socket = openRaw(url);
  socket.write(`${callText('POST', '/v1/requests', [bearer, json, ['Content-Length', '500']])}{"profile"`);
  await new Promise((sent) => setTimeout(sent, 100));
  socket.destroy();
  await new Promise((noticed) => setTimeout(noticed, 100));
  assert.equal((await broker.events('request.submitted')).length, before);
  assert.equal((await broker.call(null, 'GET', '/readyz')).status, 200);
});

test('clients that ask for much and read nothing cost others nothing', async () => {
  const many = callText('GET', '/openapi.json').repeat(300);
  const sockets = Array.from({ length: 20 }, () => openRaw(url).pause());
  const before = process.memoryUsage().rss;
  for (const socket of sockets) socket.write(many);
  await new Promise((answered) => setTimeout(answered, 500));
  const reply = await broker.call('ada', 'GET', '/v1/me');
  assert.equal(reply.status, 200);
  // 20 × 300 whole documents would be several hundred megabytes.
  const grown = (process.memoryUsage().rss - before) / 1e6;
  assert.ok(grown < 150, `${Math.round(grown)} MB`);
  for (const socket of sockets) socket.destroy();
});
