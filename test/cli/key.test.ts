import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { openConfigDirectory } from '../../src/cli/config-directory.ts';
import { loadKey, makeProof } from '../../src/cli/key.ts';
import { verifyDpopProof } from '../../src/domain/dpop.ts';

let home: string;
beforeEach(() => void (home = mkdtempSync(join(tmpdir(), 'latchkey-key-'))));
afterEach(() => rmSync(home, { recursive: true, force: true }));

const now = Date.parse('2026-03-01T12:00:00.700Z');
const url = 'https://latchkey.example/v1/grants/grt_1/credentials';

test('the key is made once, also by several at once, and kept mode 0600', async () => {
  const directory = openConfigDirectory(home);
  const keys = await Promise.all([loadKey(directory), loadKey(directory), loadKey(directory)]);
  const again = await loadKey(directory);
  for (const key of keys) assert.deepEqual(key.publicJwk, again.publicJwk);
  assert.equal(statSync(join(home, 'key.json')).mode & 0o777, 0o600);
});

test('a proof is what the broker’s own check asks for, without and with a credential', async () => {
  const key = await loadKey(openConfigDirectory(home));
  const bare = await makeProof(key, { method: 'POST', url: `${url}?x=1#y`, at: now });
  assert.equal(verifyDpopProof({ proof: bare, method: 'POST', url, now }).ok, true);
  const bound = await makeProof(key, { method: 'POST', url, credential: 'a.b.c', at: now });
  assert.equal(
    verifyDpopProof({ proof: bound, method: 'POST', url, now, ath: hash('sha256', 'a.b.c', 'base64url') }).ok,
    true,
  );
  assert.equal(
    verifyDpopProof({ proof: bound, method: 'POST', url, now, ath: hash('sha256', 'a.b.d', 'base64url') }).ok,
    false,
  );
  assert.equal(verifyDpopProof({ proof: bare, method: 'GET', url, now }).ok, false);
});

test('no two proofs are alike, and none carries the private key', async () => {
  const key = await loadKey(openConfigDirectory(home));
  const of = () => makeProof(key, { method: 'POST', url, at: now });
  const [one, other] = [await of(), await of()];
  const [first, second] = [
    verifyDpopProof({ proof: one, method: 'POST', url, now }),
    verifyDpopProof({ proof: other, method: 'POST', url, now }),
  ];
  assert.ok(first.ok && second.ok);
  assert.notEqual(first.jti, second.jti);
  const { d } = JSON.parse(readFileSync(join(home, 'key.json'), 'utf8')) as { d: string };
  assert.ok(!Buffer.from(one.split('.')[0]!, 'base64url').toString().includes(d));
});

test('a file that holds no such key is named and left alone', async () => {
  const directory = openConfigDirectory(home);
  await directory.write('key.json', '{"kty":"RSA"}');
  await assert.rejects(loadKey(directory), { message: /does not hold an EC P-256 key/ });
  assert.equal(await directory.read('key.json'), '{"kty":"RSA"}');
});
