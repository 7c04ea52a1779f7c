import assert from 'node:assert/strict';
import { describe, suite, test } from 'node:test';
import { inspect } from 'node:util';
import { openKeyVault } from '../../src/credentials/key-vault.ts';
import { VaultUnavailable, type Vault, type VaultHealth } from '../../src/credentials/vault.ts';
import { startKeyVault, type Call, type Fault, type TestKeyVault } from '../support/key-vault.ts';
import { isForbiddenByRole, isThrottled, isUnauthorized, ServiceError } from '../support/key-vault/errors.ts';

const canary = 'canary-c8d1f0e5';
const broken = new ServiceError(503, 'ServiceUnavailable', `busy with ${canary}`);

interface Scene {
  readonly service: TestKeyVault;
  readonly vault: Vault;
  readonly changes: VaultHealth['circuit'][];
}

/** A test with a service and a client of its own, so that many can wait at once. */
function scene(sentence: string, run: (scene: Scene) => Promise<void>): void {
  test(sentence, async () => {
    const service = await startKeyVault({ token: `${canary}-token` });
    const changes: Scene['changes'] = [];
    const onChange = ({ circuit }: VaultHealth): void => void changes.push(circuit);
    const vault = await openKeyVault({ url: service.url, token: service.token, onChange });
    try {
      await run({ service, vault, changes });
    } finally {
      await vault.close();
      await service.stop();
    }
  });
}

const atOnce = { concurrency: 12 } as const;

/** Lets something go wrong with the first calls of a method that carry a token. */
function once(method: string, fault: Fault, times = 1): (call: Call) => Fault | null {
  let left = times;
  return (call) => (call.method === method && call.hasToken && left-- > 0 ? fault : null);
}

/** Fails unless the error helps whoever runs the broker, and shows nothing to anybody. */
function assertTells(error: unknown, pattern: RegExp): true {
  assert.ok(error instanceof VaultUnavailable, String(error));
  assert.match(error.message, pattern);
  assert.equal(error.detail, 'the vault does not answer');
  assert.equal(error.cause, undefined);
  for (const shown of [inspect(error, { depth: 20, showHidden: true }), JSON.stringify(error), error.stack ?? '']) {
    assert.ok(!shown.includes(canary), shown);
  }
  return true;
}

// Each waits for something most of the time.
suite('Key Vault', atOnce, () => {
  describe('a call that goes wrong once', atOnce, () => {
    const faults: readonly (readonly [string, Fault])[] = [
      ['the service is busy', { error: broken }],
      ['the service is busy, and has done it', { error: broken, done: true }],
      ['the connection is reset', { reset: true }],
      ['the connection is reset after it was done', { reset: true, done: true }],
      ['the caller is throttled', { error: isThrottled(1) }],
      ['the answer is slow', { slow: 1_500 }],
    ];
    const works: readonly (readonly [string, string, (vault: Vault, name: string) => Promise<unknown>, unknown])[] = [
      ['adding', 'PUT', async (vault, name) => (await vault.addVersion(name, canary)).enabled, true],
      ['making', 'PUT', (vault, name) => vault.create(name, canary), canary],
      ['reading', 'GET', (vault, name) => vault.get(`${name}-none`), null],
      ['removing', 'DELETE', (vault, name) => vault.remove(name), undefined],
    ];
    for (const [what, fault] of faults) {
      for (const [doing, method, work, outcome] of works) {
        scene(`because ${what} while ${doing} is made good, and done once`, async ({ service, vault }) => {
          if (doing === 'removing') await vault.addVersion('name', 'old');
          // The first call brings the challenge and is no work yet.
          await vault.get('other');
          service.fault = once(method, fault);
          assert.deepEqual(await work(vault, 'name'), outcome);
          service.fault = null;
          const expected = method === 'PUT' ? 1 : 0;
          assert.equal((await vault.versions('name')).length, expected, 'neither lost nor twice');
        });
      }
    }

    scene('because it may not be disabled just now is made good', async ({ service, vault }) => {
      const { version } = await vault.addVersion('name', canary);
      service.fault = once('PATCH', { reset: true, done: true });
      await vault.disable('name', version);
      assert.equal(await vault.getVersion('name', version), null);
    });
  });

  describe('a vault that is away', atOnce, () => {
    const ways: readonly (readonly [string, Fault | 'stopped', RegExp])[] = [
      ['because nobody listens', 'stopped', /cannot be reached \(`ECONNREFUSED`\)/],
      ['because it fails', { error: broken }, /does not answer: 503 \(`ServiceUnavailable`\)/],
      ['because it cuts connections', { reset: true }, /cannot be reached \(`ECONNRESET`\)/],
      ['because it throttles', { error: isThrottled(1) }, /does not answer: 429 \(`Throttled`\)/],
    ];
    for (const [why, fault, pattern] of ways) {
      scene(`${why} is said to be, soon, without a word of what was sent or asked`, async ({ service, vault }) => {
        await vault.get('other');
        if (fault === 'stopped') await service.stop();
        else service.fault = () => fault;
        const started = performance.now();
        await assert.rejects(vault.addVersion('name', canary), (error) => assertTells(error, pattern));
        assert.ok(performance.now() - started < 15_000);
        await assert.rejects(vault.get('name'), VaultUnavailable);
      });
    }

    scene('because it never answers is given up after eight seconds', async ({ service, vault }) => {
      await vault.get('other');
      service.fault = () => ({ hang: true });
      const started = performance.now();
      await assert.rejects(vault.get('name'), (error) => assertTells(error, /does not answer within 8 s/));
      assert.ok(performance.now() - started > 7_000);
    });

    scene(
      'is left alone after three failures, tried again by one call, and found again by itself',
      async ({ service, vault, changes }) => {
        await service.stop();
        for (let i = 0; i < 3; i++) await assert.rejects(vault.get('name'));
        assert.equal(vault.health().circuit, 'open');
        assert.ok(vault.health().awaySince instanceof Date);
        await service.start();
        const before = service.calls.length;
        const refused = await Promise.allSettled(Array.from({ length: 50 }, (_, index) => vault.get(`name-${index}`)));
        assert.ok(refused.every(({ status }) => status === 'rejected'));
        assert.equal(service.calls.length, before, 'nothing was asked');
        await assert.rejects(vault.get('name'), (error) => assertTells(error, /is left alone/));
        await new Promise((resolve) => setTimeout(resolve, 1_300));
        assert.equal(await vault.get('name'), null);
        assert.deepEqual(changes, ['open', 'half-open', 'closed']);
        assert.deepEqual(vault.health(), { circuit: 'closed', awaySince: null });
      },
    );

    scene('is not asked once for each of a thousand callers of one name', async ({ service, vault }) => {
      await vault.addVersion('name', 'value');
      await vault.get('other');
      const before = service.calls.length;
      const got = await Promise.all(Array.from({ length: 1_000 }, () => vault.get('name')));
      assert.deepEqual(new Set(got), new Set(['value']));
      assert.ok(service.calls.length - before <= 2, String(service.calls.length - before));
    });

    scene('gives up what is on its way when it is closed', async ({ service, vault }) => {
      await vault.get('other');
      service.fault = () => ({ hang: true });
      const started = performance.now();
      const asked = vault.get('name');
      await new Promise((resolve) => setTimeout(resolve, 100));
      await vault.close();
      await assert.rejects(asked, VaultUnavailable);
      assert.ok(performance.now() - started < 4_000);
    });
  });

  describe('a vault that says no', atOnce, () => {
    scene('to the role of the broker is said to, with the role that is needed', async ({ service, vault }) => {
      service.denied.add('set');
      await assert.rejects(vault.addVersion('name', canary), (error) =>
        assertTells(error, /does not let the broker use `name` \(`ForbiddenByRbac`\).*`Key Vault Secrets Officer`/),
      );
      service.fault = () => ({ error: isForbiddenByRole('kv', canary) });
      await assert.rejects(vault.get('name'), (error) => assertTells(error, /ForbiddenByRbac/));
      assert.equal(vault.health().circuit, 'closed', 'that is an answer');
    });

    scene('to the token is said to', async ({ service, vault }) => {
      const other = await openKeyVault({ url: service.url, token: `${canary}-wrong` });
      await assert.rejects(other.get('name'), (error) => assertTells(error, /does not accept the broker's token/));
      service.fault = () => ({ error: isUnauthorized('AKV10046: the token has expired') });
      await assert.rejects(vault.get('name'), (error) => assertTells(error, /does not accept/));
    });

    scene('in words that nobody has heard of is not quoted', async ({ service, vault }) => {
      const error = new ServiceError(418, `${canary} and more`, canary, { inner: `${canary}!` });
      service.fault = () => ({ error });
      await assert.rejects(vault.get('name'), (thrown) => assertTells(thrown, /answered 418 \(`unknown`\)/));
    });
  });

  describe('a secret that an administrator has deleted', atOnce, () => {
    scene('is not made anew while it can be recovered, and is there again once it is', async ({ service, vault }) => {
      await vault.create('name', 'first');
      service.store.delete('name');
      await new Promise((resolve) => setTimeout(resolve, 300));
      await assert.rejects(vault.create('name', canary), (error) =>
        assertTells(error, /the secret `name` was deleted in the vault .*: recover it, or purge it/),
      );
      service.store.recover('name');
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(await vault.create('name', 'second'), 'first');
    });
  });

  describe('what is removed', atOnce, () => {
    scene('is gone for readers although it may not be purged', async ({ service, vault }) => {
      await vault.addVersion('name', 'value');
      service.denied.add('purge');
      await vault.remove('name');
      assert.equal(await vault.get('name'), null);
      assert.equal(service.store.listDeleted().length, 1);
      service.denied.clear();
      await vault.remove('name');
      assert.equal(service.store.listDeleted().length, 0, 'removing it again goes on from there');
    });

    scene('in a vault with purge protection stays recoverable, and is no error', async () => {
      const guarded = await startKeyVault({ purgeProtection: true, recoverableDays: 7 });
      const client = await openKeyVault({ url: guarded.url, token: guarded.token });
      await client.addVersion('name', 'value');
      await client.remove('name');
      assert.equal(await client.get('name'), null);
      assert.equal(guarded.store.listDeleted().length, 1);
      await guarded.stop();
    });
  });

  describe('of those who make a name', atOnce, () => {
    const first = { 'latchkey-first': 'true' };

    scene('one that died on the way has made it all the same', async ({ service, vault }) => {
      service.store.set('name', { value: 'of the dead', tags: first });
      assert.equal(await vault.create('name', 'of the living'), 'of the dead');
      assert.equal(await vault.get('name'), 'of the dead');
    });

    scene('one that slept for long and wakes does not count', async ({ service, vault }) => {
      const kept = await vault.create('name', 'kept');
      service.store.set('name', { value: 'late', tags: first });
      assert.equal(kept, 'kept');
      assert.equal(await vault.get('name'), 'kept');
      const [, late] = await vault.versions('name');
      assert.equal(late!.enabled, false);
      assert.equal(await vault.getVersion('name', late!.version), null);
      assert.equal(await vault.create('name', 'later still'), 'kept');
      await vault.addVersion('name', 'next');
      assert.equal(await vault.get('name'), 'next');
    });

    scene(
      'nobody is told who won before it is sure, although an earlier one of the same second is late',
      async ({ service, vault }) => {
        const other = await openKeyVault({ url: service.url, token: service.token });
        await Promise.all([vault.addVersion('warm', '1'), other.addVersion('warm', '2')]);
        // Both writes are to fall into one second of the service, which tells seconds apart and nothing finer.
        while (Date.now() % 1_000 > 100) await new Promise((resolve) => setTimeout(resolve, 20));
        service.fault = once('PUT', { slow: 500 });
        const early = vault.create('name', 'early');
        while (!service.calls.some(({ method, path }) => method === 'PUT' && path.includes('/name'))) {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        const late = other.create('name', 'late');
        assert.equal(await late, await early);
        assert.equal(await vault.get('name'), await early);
        await other.close();
      },
    );

    scene('one that comes after an added version does not count', async ({ service, vault }) => {
      await vault.addVersion('name', 'added');
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      service.store.set('name', { value: 'late', tags: first });
      assert.equal(await vault.get('name'), 'added');
    });

    scene('the winner’s disabling does not bring a loser up', async ({ service, vault }) => {
      await vault.create('name', 'kept');
      service.store.set('name', { value: 'late', tags: first });
      await vault.disable('name', (await vault.versions('name'))[0]!.version);
      assert.equal(await vault.get('name'), null);
      await assert.rejects(vault.create('name', 'other'), /cannot be made anew/);
    });
  });
});

scene('more versions than a page holds are all found, in order', async ({ service, vault }) => {
  for (let number = 0; number < 60; number++) await vault.addVersion('name', `value ${number}`);
  const all = await vault.versions('name');
  const values = await Promise.all(all.map(({ version }) => vault.getVersion('name', version)));
  assert.deepEqual(
    values,
    Array.from({ length: 60 }, (_, number) => `value ${number}`),
  );
  assert.ok(service.calls.some(({ path }) => path.includes('skiptoken')));
});

scene('a vault on loopback is reached past the proxies of the environment', async ({ service }) => {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy'];
  try {
    for (const name of names) process.env[name] = 'http://127.0.0.1:9';
    const other = await openKeyVault({ url: service.url, token: service.token });
    assert.equal(await other.get('name'), null);
  } finally {
    for (const name of names) delete process.env[name];
  }
});

scene(
  'what Azure’s client is given is sent with a token only after it was asked for one',
  async ({ service, vault }) => {
    await vault.addVersion('name', canary);
    const [challenged, answered] = service.calls;
    assert.deepEqual([challenged?.status, answered?.status], [401, 200]);
    assert.equal(service.calls.length, 2);
  },
);

scene('the vault shows nothing of what it holds when it is inspected', async ({ service, vault }) => {
  await vault.addVersion('name', canary);
  await vault.get('name');
  const shown = inspect(vault, { depth: 20, showHidden: true }) + JSON.stringify(vault);
  assert.ok(!shown.includes(canary) && !shown.includes(service.token));
});
