import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { newDoorstep, refusedWith, type Doorstep } from '../agent/support/doorstep.ts';
import { newSigningKey, type SigningKey } from '../agent/support/signing-key.ts';

let at: Doorstep;
let thief: SigningKey;
before(async () => {
  at = await newDoorstep();
  thief = await newSigningKey();
});
after(() => at.close());

const fetches = () => at.broker.calls.get('GET /.well-known/jwks.json') ?? 0;

describe('a credential signed with a key of the attacker’s', () => {
  it('is refused under the broker’s key id, its own, none, and any that tries to be more than an id', async () => {
    const kids = [
      at.broker.credentialKey.kid,
      at.broker.statementKey.kid,
      thief.kid,
      undefined,
      '',
      '../../../../dev/null',
      "' or '1'='1",
      '__proto__',
      'constructor',
      `${at.broker.url}/.well-known/jwks.json`,
      `${at.broker.credentialKey.kid}\u0000`,
      { toString: 'x' },
      [at.broker.credentialKey.kid],
    ];
    for (const kid of kids) {
      await refusedWith('bad-signature', at.verify(await at.credential({ key: thief, header: { kid } })));
    }
  });

  it('is refused with its key in `jwk`, `x5c`, `jku` or `x5u`, and nobody goes and fetches it', async () => {
    let visits = 0;
    const lair = createServer((_request, response) => {
      visits += 1;
      response.end(JSON.stringify({ keys: [{ ...thief.publicJwk, kid: thief.kid, latchkey_typ: ['at+jwt'] }] }));
    });
    await new Promise<void>((resolve) => lair.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(lair.address() as AddressInfo).port}/jwks.json`;
    for (const header of [
      { jwk: thief.publicJwk },
      { jku: url },
      { x5u: url },
      { x5c: ['AAAA'] },
      { jku: url, jwk: thief.publicJwk },
    ]) {
      for (const kid of [thief.kid, at.broker.credentialKey.kid]) {
        await refusedWith('bad-signature', at.verify(await at.credential({ key: thief, header: { ...header, kid } })));
      }
    }
    assert.equal(visits, 0);
    await new Promise((resolve) => lair.close(resolve));
  });

  it('makes no traffic to the broker, whatever ids it names', async () => {
    const before = fetches();
    for (let i = 0; i < 100; i++) {
      at.clock.pass(400);
      await refusedWith(
        'bad-signature',
        at.verify(await at.credential({ key: thief, header: { kid: `made-up-${i}` } })),
      );
    }
    assert.equal(fetches(), before);
  });
});

describe('a stolen key of the broker’s', () => {
  it('that signs statements makes no credential', async () => {
    await at.connect();
    const credential = await at.credential({ key: at.broker.statementKey });
    await refusedWith('bad-signature', at.verify(credential));
  });

  it('that signs credentials makes no live grant', async () => {
    const { kid } = at.broker.credentialKey;
    const statement = await at.broker.statement({ version: 99 }, { kid });
    await assert.rejects(at.liveGrants.accept(statement, null), { name: 'StatementError' });
  });

  it('opens nothing once it is retired, however fresh the copy of the key set is', async () => {
    const credential = await at.credential();
    await at.verify(credential);
    at.broker.validKids = [(await newSigningKey()).kid];
    await at.connect();
    await refusedWith('bad-signature', at.verify(credential));
  });
});
