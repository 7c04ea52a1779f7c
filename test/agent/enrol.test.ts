import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { enrol } from '../../src/agent/enrol.ts';
import { loadDeviceKey } from '../../src/agent/keys.ts';
import { createSignIn } from '../../src/agent/sign-in.ts';
import { startTestBroker, type TestBroker } from './support/test-broker.ts';
import { newTestClock } from './support/test-clock.ts';

let broker: TestBroker;
let directory: string;
beforeEach(async () => {
  broker = await startTestBroker();
  directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
});
afterEach(async () => {
  await broker.close();
  await rm(directory, { recursive: true });
});

const options = () => ({ brokerUrl: broker.url, stateDirectory: directory, facts: { serial: 'S-1' } });
const withCode = () => ({ ...options(), code: broker.code });

describe('the device’s key', () => {
  it('is one key, however many first starts there are at once', async () => {
    const keys = await Promise.all(Array.from({ length: 10 }, () => loadDeviceKey(directory)));
    assert.equal(new Set(keys.map(({ thumbprint }) => thumbprint)).size, 1);
    assert.deepEqual(Object.keys(keys[0]!.publicJwk).sort(), ['crv', 'kty', 'x', 'y']);
  });

  it('is refused when others can read it, and when it is none', async () => {
    await loadDeviceKey(directory);
    const path = join(directory, 'device-key.json');
    await chmod(path, 0o640);
    await assert.rejects(loadDeviceKey(directory), { name: 'StateError', message: /chmod 600/ });
    await chmod(path, 0o600);
    await writeFile(path, '{"kty":"oct","k":"AAAA"}');
    await assert.rejects(loadDeviceKey(directory), { name: 'StateError', message: /not a private EC key/ });
    await writeFile(path, '{"kty":');
    await assert.rejects(loadDeviceKey(directory), { name: 'StateError', message: /cannot be read/ });
  });
});

describe('enrolment', () => {
  it('happens once, and is remembered', async () => {
    const enrolment = await enrol(withCode());
    assert.equal(enrolment.device, broker.device);
    assert.equal(enrolment.issuer, broker.url);
    assert.equal(enrolment.ledgerKey, broker.ledger.vkey);
    assert.deepEqual(await enrol(options()), enrolment);
    assert.equal(broker.calls.get('POST /v1/devices'), 1);
  });

  it('needs a code, and the right one', async () => {
    await assert.rejects(enrol(options()), { name: 'StateError', message: /enrolment code/ });
    await assert.rejects(enrol({ ...options(), code: 'guess' }), { name: 'BrokerError', status: 403 });
  });

  it('takes another key when its own was enrolled and the answer was lost', async () => {
    await enrol(withCode());
    await rm(join(directory, 'device.json'));
    await enrol(withCode());
    assert.equal(broker.enrolled.length, 2);
    assert.notEqual(broker.enrolled[0]!.x, broker.enrolled[1]!.x);
  });

  it('is refused when the answer points to keys elsewhere', async () => {
    const { device, tenant, url } = broker;
    for (const place of [
      { issuer: url, jwksUri: 'https://keys.example/jwks.json' },
      { issuer: 'https://other.example', jwksUri: `${url}/.well-known/jwks.json` },
      { issuer: url, jwksUri: 'file:///etc/passwd' },
      { issuer: url },
    ]) {
      broker.answers.set('POST /v1/devices', (response) => {
        response.writeHead(201, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ id: device, tenant, name: 'Room', ledgerKey: 'k', ...place }));
      });
      await assert.rejects(enrol(withCode()), { name: 'BrokerError', message: /another origin/ });
    }
    await assert.rejects(readFile(join(directory, 'device.json')), { code: 'ENOENT' });
  });

  it('is refused by an agent whose code was made for another broker or another ledger key', async () => {
    const { device, tenant, url } = broker;
    const place = { issuer: url, jwksUri: `${url}/.well-known/jwks.json` };
    for (const ledgerKey of ['ledger.test/eu+00000000+AAAA', '']) {
      broker.answers.set('POST /v1/devices', (response) => {
        response.writeHead(201, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ id: device, tenant, name: 'Room', ...place, ledgerKey }));
      });
      await assert.rejects(enrol(withCode()), { name: 'BrokerError', message: /was made for/ });
    }
    await assert.rejects(readFile(join(directory, 'device.json')), { code: 'ENOENT' });
  });

  it('is refused with an address that is no broker’s', async () => {
    for (const brokerUrl of [
      'http://broker.example',
      'ftp://127.0.0.1',
      'broker',
      'https://a:b@broker.example',
      'http://127.0.0.1.example',
    ]) {
      await assert.rejects(enrol({ ...withCode(), brokerUrl }), { name: 'BrokerError' }, brokerUrl);
    }
  });

  it('follows no redirect', async () => {
    broker.answers.set('POST /v1/devices', (response) => {
      response.writeHead(307, { location: `${broker.url}/elsewhere` }).end();
    });
    await assert.rejects(enrol(withCode()), { name: 'BrokerError' });
    assert.equal(broker.calls.get('POST /elsewhere'), undefined);
  });

  it('with one broker is none with another', async () => {
    await enrol(withCode());
    const other = await startTestBroker();
    await assert.rejects(enrol({ ...options(), brokerUrl: other.url }), { message: /another origin/ });
    await other.close();
  });
});

describe('signing in', () => {
  const path = 'POST /oauth2/token';

  it('asks once for all who ask, and again before the token runs out', async () => {
    const { device, issuer } = await enrol(withCode());
    const clocks = newTestClock();
    const key = await loadDeviceKey(directory);
    const signIn = createSignIn({ issuer, device, key, now: () => Date.now(), clocks });
    const tokens = await Promise.all(Array.from({ length: 20 }, () => signIn.token()));
    assert.equal(new Set(tokens).size, 1);
    clocks.pass(239_000);
    await signIn.token();
    assert.equal(broker.calls.get(path), 1);
    clocks.pass(1_000);
    await signIn.token();
    assert.equal(broker.calls.get(path), 2);
    signIn.forget(await signIn.token());
    await signIn.token();
    assert.equal(broker.calls.get(path), 3);
  });

  it('fails with the broker’s own words and can be tried again', async () => {
    const { device, issuer } = await enrol(withCode());
    const signIn = createSignIn({ issuer, device, key: await loadDeviceKey(directory) });
    broker.failing.set(path, 401);
    await assert.rejects(signIn.token(), { name: 'BrokerError', status: 401, message: /the test answers 401/ });
    broker.failing.clear();
    await signIn.token();
  });
});
