import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopbackHost, isPrivateAddress, isPrivateHost } from '../../../src/http/identity/addresses.ts';
import { fetchJson } from '../../../src/http/identity/fetch-json.ts';
import { startTestIssuer } from '../../support/issuer.ts';

const bounds = { maxBytes: 65_536, timeout: 2_000, allowPrivate: false };

const inside = [
  '127.0.0.1',
  '127.255.255.254',
  '10.1.2.3',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:10.0.0.1',
  '::ffff:7f00:1',
  '64:ff9b::a00:1',
  '2002:7f00:1::',
  'fd00::1',
  'fe80::1',
  'fec0::1',
  'ff02::1',
];
for (const address of inside) {
  test(`\`${address}\` is not called unless private addresses are allowed`, async () => {
    assert.ok(isPrivateAddress(address));
    const host = address.includes(':') ? `[${address}]` : address;
    await assert.rejects(fetchJson(new URL(`https://${host}/jwks`), bounds), /not public/);
  });
}

test('public addresses are not taken for private ones', () => {
  for (const address of ['1.1.1.1', '172.32.0.1', '100.128.0.1', '192.0.1.1', '2606:4700::1', '::ffff:1.1.1.1']) {
    assert.equal(isPrivateAddress(address), false, address);
  }
});

test('a name that leads inside is not called either', async () => {
  const issuer = await startTestIssuer();
  const url = new URL(`${issuer.issuer.replace('127.0.0.1', 'localhost')}/jwks`);
  await assert.rejects(fetchJson(url, bounds), /`localhost` leads to an address that is not public/);
  assert.deepEqual(issuer.requests, []);
  assert.ok(await fetchJson(url, { ...bounds, allowPrivate: true }));
  await issuer.stop();
});

test('disguised spellings of an address are seen through', async () => {
  for (const host of ['0x7f.1', '2130706433', '127.1', '0177.0.0.1', '①27.0.0.1']) {
    await assert.rejects(fetchJson(new URL(`https://${host}/`), bounds), /not public/);
  }
});

test('plain http is for this machine only, other schemes are for nobody', async () => {
  for (const address of ['http://login.example/', 'http://10.0.0.1/', 'ftp://127.0.0.1/', 'file:///etc/passwd']) {
    await assert.rejects(fetchJson(new URL(address), { ...bounds, allowPrivate: true }), /not https/);
  }
});

test('hosts of this machine and of private networks are told by their spelling', () => {
  for (const host of ['localhost', 'idp.localhost', '127.0.0.1', '[::1]']) assert.ok(isLoopbackHost(host), host);
  for (const host of ['10.0.0.1', 'localhost.example', 'login.example', '[fd00::1]']) {
    assert.equal(isLoopbackHost(host), false, host);
  }
  for (const host of ['localhost', '10.0.0.1', '[fd00::1]']) assert.ok(isPrivateHost(host), host);
  for (const host of ['login.example', '1.1.1.1']) assert.equal(isPrivateHost(host), false, host);
});
