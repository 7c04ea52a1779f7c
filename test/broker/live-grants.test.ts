import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import type { TestDevice } from '../support/device.ts';
import { openLiveStream } from '../support/live-stream.ts';
import { decide, eventually, ok, scenarios, sleep } from './support/scenario.ts';

interface Statement {
  readonly version: number;
  readonly iat: number;
  readonly exp: number;
  readonly iss: string;
  readonly aud: string;
  readonly keys: string[];
  readonly grants: { id: string; person: string; scopes: string[]; startsAt: string; expiresAt: string }[];
}

scenarios(
  (broker) => {
    const read = async (text: string): Promise<Statement> => {
      const jwks = await ok(broker().call(null, 'GET', '/.well-known/jwks.json'));
      const { kid, typ } = decodeProtectedHeader(text);
      assert.equal(typ, 'live-grants+jwt');
      const key = jwks.keys.find((each: { kid: string }) => each.kid === kid);
      assert.ok(key.latchkey_typ.includes('live-grants+jwt'));
      const { payload } = await jwtVerify(text, createLocalJWKSet(jwks), { typ: 'live-grants+jwt' });
      return payload as unknown as Statement;
    };
    const list = async (device: TestDevice): Promise<Statement> =>
      read((await device.call('GET', '/v1/agent/live-grants')).text);
    const fresh = () => broker().enrol(broker().contoso.id);
    const release = (id: string) => ok(broker().call('ada', 'POST', `/v1/grants/${id}/release`));

    test('a statement says what is live on the device, for a minute', async () => {
      const device = await fresh();
      const empty = await list(device);
      assert.deepEqual(empty.grants, []);
      const grant = await broker().grant('ada', 'remediate', { devices: [device.id] });
      const said = await list(device);
      const jwks = await ok(broker().call(null, 'GET', '/.well-known/jwks.json'));
      assert.deepEqual([said.iss, said.aud], [broker().config.publicUrl, `urn:latchkey:device:${device.id}`]);
      assert.ok(said.exp - said.iat <= 60 && Math.abs(said.iat * 1_000 - Date.now()) < 5_000);
      assert.deepEqual(
        said.keys,
        jwks.keys
          .filter((each: { latchkey_typ: string[] }) => each.latchkey_typ.includes('at+jwt'))
          .map((each: { kid: string }) => each.kid),
      );
      const [only, ...others] = said.grants;
      assert.deepEqual(others, []);
      assert.deepEqual(
        {
          ...only,
          startsAt: new Date(only!.startsAt).toISOString(),
          expiresAt: new Date(only!.expiresAt).toISOString(),
        },
        {
          id: grant.id,
          person: grant.person.id,
          scopes: grant.scopes,
          startsAt: grant.startsAt,
          expiresAt: grant.expiresAt,
        },
      );
      await release(grant.id);
    });

    test('each change raises the version, to no less than the milliseconds since the epoch', async () => {
      const device = await fresh();
      const versions = [(await list(device)).version];
      const seen = async (grants: number): Promise<void> => {
        const { version, grants: listed } = await list(device);
        assert.equal(listed.length, grants);
        assert.ok(version > versions.at(-1)! && version <= Date.now() + 1_000, String(version));
        versions.push(version);
      };
      const before = Date.now();
      const first = await broker().grant('ada', 'diagnose', { devices: [device.id] });
      await seen(1);
      assert.ok(versions.at(-1)! >= before - 1_000);
      const second = await broker().grant('ben', 'diagnose', { devices: [device.id] });
      await seen(2);
      await ok(
        broker().call('ada', 'POST', `/v1/grants/${first.id}/extensions`, { duration: 'PT1M', reason: 'more' }),
        201,
      );
      await seen(2);
      await ok(broker().call('chloe', 'POST', `/v1/grants/${second.id}/revoke`, { reason: 'enough' }));
      await seen(1);
      await release(first.id);
      await seen(0);
      const request = await broker().ask('ada', 'remediate', { devices: [device.id] });
      assert.equal((await list(device)).version, versions.at(-1), 'what waits is no change');
      const { grant } = await ok(decide(broker(), 'chloe', request));
      await seen(1);
      await release(grant.id);
    });

    test('equal versions carry equal grants, whatever happens meanwhile', async () => {
      const device = await fresh();
      const byVersion = new Map<number, string>();
      const done = new AbortController();
      const watch = async (): Promise<void> => {
        while (!done.signal.aborted) {
          const { version, grants } = await list(device);
          const text = JSON.stringify(grants);
          assert.equal(byVersion.get(version) ?? text, text);
          byVersion.set(version, text);
        }
      };
      const watchers = [watch(), watch()];
      try {
        for (let i = 0; i < 12; i++) {
          const duration = i % 2 === 0 ? 'PT1M' : 'PT1S';
          const grant = await broker().grant('ada', 'diagnose', { devices: [device.id], duration });
          if (i % 2 === 0) await release(grant.id);
        }
        await sleep(1_500);
      } finally {
        done.abort();
        await Promise.all(watchers);
      }
      assert.ok(byVersion.size >= 10, `only ${byVersion.size} versions seen`);
      await eventually(async () => (await list(device)).grants.length === 0);
    });

    test('the stream tells of each start and end soon, whichever broker made it', async () => {
      const device = await fresh();
      await device.signIn();
      const stream = await openLiveStream(device, broker().brokers[0]!.url);
      try {
        assert.deepEqual((await read(await stream.next())).grants, [], 'at connect');
        const other = broker().brokers.length - 1;
        const waits: number[] = [];
        const wish = { profile: 'diagnose', devices: [device.id], duration: 'PT5M', reason: 'watching' };
        for (let round = 0; round < 3; round++) {
          let began = performance.now();
          const { grant } = await ok(broker().call('ada', 'POST', '/v1/requests', wish, { broker: other }), 201);
          const started = await stream.until(async (text) =>
            (await read(text)).grants.some(({ id }) => id === grant.id),
          );
          waits.push(started - began);
          began = performance.now();
          await ok(
            broker().call('olu', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'enough' }, { broker: other }),
          );
          const ended = await stream.until(async (text) =>
            (await read(text)).grants.every(({ id }) => id !== grant.id),
          );
          waits.push(ended - began);
        }
        // A regular statement comes every 15 s; a machine that is busy with other things may take its time now and then.
        assert.ok(Math.max(...waits) < 12_000 && Math.min(...waits) < 1_000, waits.join(', '));
      } finally {
        stream.close();
      }
    });

    test('the stream ends when the device is taken out', async () => {
      const device = await fresh();
      await device.signIn();
      const stream = await openLiveStream(device, broker().brokers[0]!.url);
      await stream.next();
      await ok(broker().call('olu', 'DELETE', `/v1/devices/${device.id}`), 204);
      // One that was under way, or due by the clock, may still come before the end.
      await assert.rejects(
        stream.until(() => false),
        /over/,
      );
    });
  },
  { concurrency: true },
);
