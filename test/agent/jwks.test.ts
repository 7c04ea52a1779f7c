import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createBrokerKeys } from '../../src/agent/jwks.ts';
import { newDoorstep, refusedWith, type Doorstep } from './support/doorstep.ts';
import { newSigningKey } from './support/signing-key.ts';

let at: Doorstep;
beforeEach(async () => {
  at = await newDoorstep();
});
afterEach(() => at.close());

const path = 'GET /.well-known/jwks.json';
const fetches = () => at.broker.calls.get(path) ?? 0;
const freshKeys = () => createBrokerKeys({ jwksUri: `${at.broker.url}/.well-known/jwks.json`, clocks: at.clock });
const serve = (body: string | Buffer, status = 200, headers: Record<string, string> = {}) =>
  at.broker.answers.set(path, (response) => response.writeHead(status, headers).end(body));

const { kid: someone, publicJwk } = await newSigningKey();

describe('the broker’s keys', () => {
  it('are asked for once by any number of callers, and kept for a minute at most', async () => {
    const { kid } = at.broker.credentialKey;
    const keys = freshKeys();
    const before = fetches();
    await Promise.all(Array.from({ length: 50 }, () => keys.find(kid)));
    assert.equal(fetches(), before + 1);
    at.clock.pass(60_001);
    assert.ok(!keys.isFresh());
    at.broker.failing.set(path, 503);
    await keys.find(kid);
    assert.ok(!keys.isFresh());
    assert.equal(fetches(), before + 2);
  });

  it('are asked for again because of an unknown id every five seconds at most', async () => {
    const keys = freshKeys();
    const before = fetches();
    for (let i = 0; i < 200; i++) await keys.find(`made-up-${i}`);
    assert.equal(fetches(), before + 1);
    at.clock.pass(5_000);
    for (let i = 0; i < 200; i++) await keys.find(`made-up-${i}`);
    assert.equal(fetches(), before + 2);
  });

  it('bring a new key as soon as it is used, so that a rotation refuses nobody', async () => {
    const next = await newSigningKey();
    at.clock.pass(6_000);
    at.broker.keys.push({ key: next, types: ['at+jwt'] });
    at.broker.validKids.push(next.kid);
    await at.connect();
    await at.verify(await at.credential({ key: next }));
  });

  it('no longer count once the list does not name them, even while a copy still has them', async () => {
    const credential = await at.credential();
    const next = await newSigningKey();
    at.broker.validKids = [next.kid];
    await at.connect();
    await refusedWith('bad-signature', at.verify(credential));
  });

  it('sign nothing without `latchkey_typ`, and nothing that it does not name', async () => {
    const [untyped, other] = [await newSigningKey(), await newSigningKey()];
    at.clock.pass(6_000);
    at.broker.keys.push({ key: untyped, types: undefined }, { key: other, types: ['status+jwt'] });
    at.broker.validKids.push(untyped.kid, other.kid);
    await at.connect();
    await refusedWith('bad-signature', at.verify(await at.credential({ key: untyped })));
    await refusedWith('bad-signature', at.verify(await at.credential({ key: other })));
  });

  const malformed: readonly [string, () => void][] = [
    ['is not JSON', () => serve('keys, keys, keys')],
    ['is longer than 64 KiB', () => serve(JSON.stringify({ keys: [], padding: 'x'.repeat(70_000) }))],
    ['comes by a redirect', () => serve('', 302, { location: `${at.broker.url}/.well-known/other.json` })],
    ['has no list of keys', () => serve('{"keys":{}}')],
    ['has more keys than any broker', () => serve(JSON.stringify({ keys: Array.from({ length: 33 }, () => ({})) }))],
    ['names a key twice', () => serve(JSON.stringify({ keys: [entry({}), entry({})] }))],
    [
      'gives a key an id that is not its thumbprint',
      () => serve(JSON.stringify({ keys: [entry({ kid: 'injected' })] })),
    ],
    ['gives away a private key', () => serve(JSON.stringify({ keys: [entry({ d: publicJwk.x })] }))],
    ['has a key of another algorithm', () => serve(JSON.stringify({ keys: [entry({ alg: 'HS256' })] }))],
    ['has a symmetric key', () => serve(JSON.stringify({ keys: [entry({ kty: 'oct', k: 'AAAA' })] }))],
    ['has a point off the curve', () => serve(JSON.stringify({ keys: [entry({ y: publicJwk.x })] }))],
  ];
  for (const [what, answer] of malformed) {
    it(`bring nothing when the set ${what}`, async () => {
      answer();
      const keys = freshKeys();
      for (const kid of [someone, 'injected', undefined]) if (kid) assert.equal(await keys.find(kid), null);
    });
  }

  it('are taken from a set that is as it should be', async () => {
    serve(JSON.stringify({ keys: [entry({})] }));
    assert.ok(await freshKeys().find(someone));
  });

  function entry(changes: object): object {
    return { ...publicJwk, kid: someone, alg: 'ES256', use: 'sig', latchkey_typ: ['at+jwt'], ...changes };
  }
});
