import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, test } from 'node:test';
import { callDoor, doorAddress } from '../../src/cli/door-transport.ts';
import { sampleDevice } from './support/samples.ts';
import { doorCertificate, doorCertificateKey } from './support/door-certificate.ts';

const digest = new X509Certificate(doorCertificate).fingerprint256;
let server: Server;
let url: string;
let heard: string[];

before(async () => {
  server = createServer({ cert: doorCertificate, key: doorCertificateKey }, (request, response) => {
    heard.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    response.end('welcome');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => void server.close());
beforeEach(() => void (heard = []));

const knock = async (certificateSha256: string | null): Promise<string> => {
  const address = doorAddress(sampleDevice({ door: { url, certificateSha256 } }));
  const headers = { authorization: 'DPoP secret' };
  const signal = AbortSignal.timeout(5000);
  return text(await callDoor(address, { method: 'POST', url: `${url}/sessions`, headers, body: null, signal }));
};

test('a door is known by its certificate alone, however the digest is written', async () => {
  const hexadecimal = digest.replaceAll(':', '').toLowerCase();
  const base64url = Buffer.from(hexadecimal, 'hex').toString('base64url');
  for (const written of [digest, hexadecimal, base64url]) assert.equal(await knock(written), 'welcome');
  assert.deepEqual(heard, Array(3).fill('POST /sessions DPoP secret'));
});

test('a door that shows another certificate hears nothing, least of all the credential', async () => {
  await assert.rejects(knock('00'.repeat(32)), { kind: 'unreachable', message: /shows another certificate/ });
  assert.deepEqual(heard, []);
});

test('a door on https without a digest to hold it to is not called', async () => {
  for (const missing of [null, '', 'abc']) await assert.rejects(knock(missing), { message: /lists no certificate/ });
  assert.deepEqual(heard, []);
});

test('something that speaks no TLS is told apart from a wrong certificate', async () => {
  const plain = (await import('node:net')).createServer((socket) => void socket.end('hello'));
  await new Promise<void>((listening) => plain.listen(0, '127.0.0.1', listening));
  const address = doorAddress(
    sampleDevice({
      door: { url: `https://127.0.0.1:${(plain.address() as AddressInfo).port}`, certificateSha256: digest },
    }),
  );
  const call = {
    method: 'POST',
    url: `${address.url}/sessions`,
    headers: {},
    body: null,
    signal: AbortSignal.timeout(5000),
  } as const;
  await assert.rejects(callDoor(address, call), { kind: 'unreachable' });
  plain.close();
});

test('something that takes the connection and says nothing is unreachable, and no interruption', async () => {
  const silent = (await import('node:net')).createServer(() => undefined);
  await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening));
  const url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const address = doorAddress(sampleDevice({ door: { url, certificateSha256: digest } }));
  const call = {
    method: 'POST',
    url: `${url}/sessions`,
    headers: {},
    body: null,
    signal: AbortSignal.timeout(200),
  } as const;
  await assert.rejects(callDoor(address, call), { kind: 'unreachable', message: /it did not answer in time/ });
  const interrupting = AbortSignal.abort();
  await assert.rejects(callDoor(address, { ...call, signal: interrupting }), { message: 'interrupted' });
  silent.close();
});
