import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isPassword } from '../../src/domain/local-admin.ts';
import { openDirectoryVault } from '../../src/credentials/directory-vault.ts';
import { findUntidySecrets, recordTidied, retireSecret } from '../../src/store/device-secrets.ts';
import { openPool } from '../../src/store/pool.ts';
import { inTransaction, rows } from '../../src/store/transaction.ts';
import { secretsDirectory } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';
import {
  fetchSecret,
  later,
  newOneTimeKey,
  newPasswordDevice,
  newSetDevice,
  openReleased,
  type PasswordDevice,
} from '../support/passwords.ts';
import { eventually, mint, ok, reasonsOf, refused, scenarios } from './support/scenario.ts';

scenarios((broker) => {
  const grantOn = (room: PasswordDevice, wish = {}) =>
    broker().grant('ada', 'release-secret', { devices: [room.device.id], ...wish });
  const vaultName = ({ device }: PasswordDevice) => `local-admin-${device.id.replace('_', '-')}`;
  const inVault = async (room: PasswordDevice): Promise<string[]> => {
    const vault = await openDirectoryVault(secretsDirectory(broker().config));
    const versions = await vault.versions(vaultName(room));
    const values = await Promise.all(versions.map(({ version }) => vault.getVersion(vaultName(room), version)));
    return values.filter((value) => value !== null);
  };
  const wanted = (room: PasswordDevice, generation: number) =>
    eventually(async () => (await room.listed())?.wanted === generation);
  const alarms = async (room: PasswordDevice, state = 'open') =>
    (await ok(broker().call('olu', 'GET', `/v1/alarms?state=${state}&limit=200`))).items.filter(
      (alarm: { subject: string }) => alarm.subject === room.device.id,
    );

  describe('a device', () => {
    it('is given its first password when it asks, the same until another is wanted, and the vault had it first', async () => {
      const room = await newPasswordDevice(broker());
      assert.equal(await room.listed(), null);
      const [first, again] = [await room.take(), await room.take()];
      assert.ok(isPassword(first.password));
      assert.deepEqual([again.generation, again.password], [1, first.password]);
      assert.deepEqual(await inVault(room), [first.password]);
      assert.deepEqual(await room.listed(), { wanted: 1, confirmed: 0 });
      await room.confirm(1);
      assert.deepEqual(await room.listed(), { wanted: 1, confirmed: 1 });
    });

    it('that asks many times at once is given one password', async () => {
      const room = await newPasswordDevice(broker());
      const taken = await Promise.all(Array.from({ length: 8 }, () => room.take()));
      assert.equal(new Set(taken.map(({ password }) => password)).size, 1);
      assert.equal((await broker().events('secret.prepared')).filter((e) => e.device === room.device.id).length, 1);
    });

    it('without an encryption key is given none', async () => {
      const [old] = broker().contoso.devices;
      assert.equal((await old!.call('POST', '/v1/agent/secrets/local-admin', { have: 0 })).status, 409);
    });

    it('that knows of more than the database does, since that was restored, is given more', async () => {
      const room = await newSetDevice(broker());
      const before = (await broker().sql.query('SELECT version FROM live_versions WHERE device = $1', [room.device.id]))
        .rows;
      const { generation } = await room.take(7);
      assert.equal(generation, 8);
      const after = (await broker().sql.query('SELECT version FROM live_versions WHERE device = $1', [room.device.id]))
        .rows;
      assert.ok(Number(after[0].version) > Number(before[0].version));
    });

    it('is given another one when somebody has taken its own out of the vault', async () => {
      const room = await newPasswordDevice(broker());
      const first = await room.take();
      const vault = await openDirectoryVault(secretsDirectory(broker().config));
      await vault.remove(vaultName(room));
      const second = await room.take();
      assert.equal(second.generation, 2);
      assert.notEqual(second.password, first.password);
      assert.deepEqual(await inVault(room), [second.password]);
    });

    it('that says that it has what was never made for it is not believed, and is to have another', async () => {
      const room = await newSetDevice(broker());
      await room.confirm(1);
      assert.deepEqual(await room.listed(), { wanted: 1, confirmed: 1 });
      await room.confirm(7);
      assert.deepEqual(await room.listed(), { wanted: 8, confirmed: 1 });
      assert.equal((await room.take(7)).generation, 8);
    });
  });

  describe('its holder', () => {
    it('gets the password once, with the proof that the release is in the ledger', async () => {
      const room = await newSetDevice(broker());
      const [grant, key, oneTime] = [await grantOn(room), await newEngineerKey(), await newOneTimeKey()];
      const reply = await fetchSecret(broker(), 'ada', grant, { key, oneTime });
      assert.deepEqual(await openReleased(reply, oneTime), [{ generation: 1, password: room.first }]);
      assert.match(reply.body.receipt, /^c2sp\.org\/tlog-proof@v1\n/);
      assert.ok(Date.parse(reply.body.rotatesBy) <= Date.parse(grant.expiresAt));
      const released = (await broker().events('secret.released')).filter((event) => event.grant === grant.id);
      assert.deepEqual(
        released.map(({ device, person, generations }) => ({ device, person, generations })),
        [{ device: room.device.id, person: grant.person.id, generations: [1] }],
      );
      refused(await fetchSecret(broker(), 'ada', grant, { key }), 409);
      // The grant is bound to that key, for credentials too.
      refused(await mint(broker(), 'ada', grant), 409);
      assert.equal((await mint(broker(), 'ada', grant, { key })).status, 201);
    });

    it('may fetch again to the same key for a minute, which records nothing', async () => {
      const room = await newSetDevice(broker());
      const [grant, key, oneTime] = [await grantOn(room), await newEngineerKey(), await newOneTimeKey()];
      const first = await openReleased(await fetchSecret(broker(), 'ada', grant, { key, oneTime }), oneTime);
      assert.deepEqual(await openReleased(await fetchSecret(broker(), 'ada', grant, { key, oneTime }), oneTime), first);
      assert.equal((await broker().events('secret.released')).filter((event) => event.grant === grant.id).length, 1);
      await later(broker(), room, '61 seconds');
      refused(await fetchSecret(broker(), 'ada', grant, { key, oneTime }), 409);
    });

    it('is answered the same under an `Idempotency-Key`, but for no longer than the key may fetch again', async () => {
      const room = await newSetDevice(broker());
      const [grant, key, oneTime] = [await grantOn(room), await newEngineerKey(), await newOneTimeKey()];
      const { secretProof } = await import('../support/passwords.ts');
      const proof = await secretProof(broker(), grant, { key, oneTime });
      const headers = { 'idempotency-key': `fetch-${grant.id}` };
      const first = await openReleased(await fetchSecret(broker(), 'ada', grant, { proof, headers }), oneTime);
      assert.deepEqual(
        await openReleased(await fetchSecret(broker(), 'ada', grant, { proof, headers }), oneTime),
        first,
      );
      // The kept answer says when it was released; the clock of the test cannot reach into it, so the grant ends.
      await ok(broker().call('ada', 'POST', `/v1/grants/${grant.id}/release`));
      refused(await fetchSecret(broker(), 'ada', grant, { proof, headers }), 409);
    });

    it('gets nothing while the device has not said that it has a password', async () => {
      const room = await newPasswordDevice(broker());
      const grant = await grantOn(room);
      refused(await fetchSecret(broker(), 'ada', grant), 409);
      await room.take();
      refused(await fetchSecret(broker(), 'ada', grant), 409);
    });

    it('gets both that the device may have while it is setting another, newest first', async () => {
      const room = await newSetDevice(broker());
      const earlier = await grantOn(room);
      await openOne(earlier);
      await ok(broker().call('ada', 'POST', `/v1/grants/${earlier.id}/release`));
      await wanted(room, 2);
      const second = await room.take(1);
      const [grant, oneTime] = [await grantOn(room), await newOneTimeKey()];
      assert.deepEqual(await openReleased(await fetchSecret(broker(), 'ada', grant, { oneTime }), oneTime), [
        { generation: 2, password: second.password },
        { generation: 1, password: room.first },
      ]);
      await room.confirm(2);
      await ok(broker().call('ada', 'POST', `/v1/grants/${grant.id}/release`));
      await wanted(room, 3);
    });

    it('gets nothing on a grant that does not allow it, is not theirs, has ended, or is for another device', async () => {
      const [room, other] = [await newSetDevice(broker()), await newSetDevice(broker())];
      const diagnose = await broker().grant('ada', 'diagnose', { devices: [room.device.id] });
      assert.deepEqual(reasonsOf(await fetchSecret(broker(), 'ada', diagnose)), ['scope-missing']);
      const grant = await grantOn(room);
      assert.deepEqual(reasonsOf(await fetchSecret(broker(), 'chloe', grant)), ['holder-only']);
      refused(await fetchSecret(broker(), 'ben', grant), 404);
      refused(await fetchSecret(broker(), 'ada', grant, { device: other.device.id }), 400, '/device');
      await ok(broker().call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'enough' }));
      refused(await fetchSecret(broker(), 'ada', grant), 409);
      assert.deepEqual(await room.listed(), { wanted: 1, confirmed: 1 });
    });

    it('who has lost the right is told by policy', async () => {
      const room = await newSetDevice(broker());
      const grant = await grantOn(room);
      const { people } = await import('../support/broker.ts');
      const without = { ...people.ada, teams: [] };
      assert.ok(reasonsOf(await fetchSecret(broker(), without, grant)).length > 0);
      await broker().call('ada', 'GET', '/v1/me');
    });
  });

  describe('another password is wanted', () => {
    it('at the end of the grant on which it was released, however that ends', async () => {
      for (const end of ['release', 'revoke', 'expire'] as const) {
        const room = await newSetDevice(broker());
        const grant = await grantOn(room, end === 'expire' ? { duration: 'PT2S' } : {});
        await openOne(grant);
        if (end === 'release') await ok(broker().call('ada', 'POST', `/v1/grants/${grant.id}/release`));
        if (end === 'revoke') {
          await ok(broker().call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'enough' }));
        }
        await wanted(room, 2);
        const { generation, password } = await room.take(1);
        assert.equal(generation, 2);
        assert.notEqual(password, room.first);
        assert.deepEqual((await inVault(room)).sort(), [room.first, password].sort());
        await room.confirm(2);
        assert.deepEqual(await room.listed(), { wanted: 2, confirmed: 2 });
        // What nobody has any more, nobody can read any more.
        await eventually(async () => (await inVault(room)).join() === password);
      }
    });

    it('an hour after the release at the latest', async () => {
      const room = await newSetDevice(broker());
      await openOne(await grantOn(room));
      await later(broker(), room, '59 minutes');
      await broker().call('ada', 'GET', '/v1/me');
      assert.deepEqual(await room.listed(), { wanted: 1, confirmed: 1 });
      await later(broker(), room, '61 seconds');
      await wanted(room, 2);
    });

    it('once, when two grants on which it was released end', async () => {
      const room = await newSetDevice(broker());
      const [one, two] = [await grantOn(room), await grantOn(room)];
      await openOne(one);
      await openOne(two);
      await ok(broker().call('ada', 'POST', `/v1/grants/${one.id}/release`));
      await wanted(room, 2);
      await room.take(1);
      await room.confirm(2);
      await ok(broker().call('ada', 'POST', `/v1/grants/${two.id}/release`));
      await eventually(async () => {
        const { rows } = await broker().sql.query(
          'SELECT 1 FROM secret_releases WHERE device = $1 AND rotation_ordered_at IS NULL',
          [room.device.id],
        );
        return rows.length === 0;
      });
      assert.deepEqual(await room.listed(), { wanted: 2, confirmed: 2 });
    });

    it('not of a device whose password nobody fetched', async () => {
      const room = await newSetDevice(broker());
      const grant = await grantOn(room);
      await ok(broker().call('ada', 'POST', `/v1/grants/${grant.id}/release`));
      await openOne(await grantOn(room));
      assert.deepEqual(await room.listed(), { wanted: 1, confirmed: 1 });
    });

    it('and when it is not set in time there is an alarm that names the grant, which its confirmation closes', async () => {
      const room = await newSetDevice(broker());
      const grant = await grantOn(room);
      await openOne(grant);
      await ok(broker().call('ada', 'POST', `/v1/grants/${grant.id}/release`));
      await wanted(room, 2);
      assert.deepEqual(await alarms(room), []);
      await later(broker(), room, '301 seconds');
      const [alarm] = await eventually(async () => {
        const found = await alarms(room);
        return found.length > 0 && found;
      });
      assert.deepEqual([alarm.kind, alarm.grant], ['secret-rotation-overdue', grant.id]);
      await room.take(1);
      await room.confirm(2);
      assert.deepEqual(await alarms(room), []);
      assert.equal((await alarms(room, 'closed')).length, 1);
    });
  });

  describe('a device that is taken out', () => {
    it('is asked for nothing more, and nobody is given its password', async () => {
      const room = await newSetDevice(broker());
      const [grant, other] = [await grantOn(room), await grantOn(room)];
      await openOne(grant);
      await ok(broker().call('ada', 'POST', `/v1/grants/${grant.id}/release`));
      await wanted(room, 2);
      await later(broker(), room, '301 seconds');
      await eventually(async () => (await alarms(room)).length > 0);
      assert.equal((await broker().call('olu', 'DELETE', `/v1/devices/${room.device.id}`)).status, 204);
      assert.deepEqual(await alarms(room), []);
      refused(await fetchSecret(broker(), 'ada', other), 409);
      assert.equal((await room.ask()).status, 401);
      assert.deepEqual(await inVault(room), [room.first]);
      assert.equal((await broker().call('olu', 'DELETE', `/v1/devices/${room.device.id}?erase=true`)).status, 204);
      await eventually(async () => (await inVault(room)).length === 0);
    });

    it('stays marked for the vault to forget while a broker ends what it began to tidy up before that', async (t) => {
      const { id: device } = (await newSetDevice(broker())).device;
      const pool = openPool({ url: (broker().config.database as { url: string }).url, size: 1 });
      t.after(() => pool.end());
      const since = new Date(Date.now() - 3_000);
      await inTransaction(pool, async (tx) => {
        const mark = 'UPDATE device_secrets SET vault_untidy_since = $2 WHERE device = $1';
        await rows(tx, 'mark-untidy', mark, [device, since]);
        const seen = (await findUntidySecrets(tx, 1_000)).find((untidy) => untidy.device === device)!;
        await retireSecret(tx, device, true);
        await recordTidied(tx, seen);
        const again = (await findUntidySecrets(tx, 1_000)).find((untidy) => untidy.device === device)!;
        assert.ok(again.since > since);
        await rows(tx, 'confirm', 'UPDATE device_secrets SET wanted = 2, confirmed = 2 WHERE device = $1', [device]);
        await recordTidied(tx, again);
        const last = (await findUntidySecrets(tx, 1_000)).find((untidy) => untidy.device === device)!;
        assert.equal(last.confirmed, 2, 'what was confirmed meanwhile is tidied up after, too');
        await recordTidied(tx, last);
        assert.ok((await findUntidySecrets(tx, 1_000)).every((untidy) => untidy.device !== device));
      });
    });
  });

  async function openOne(grant: { readonly id: string; readonly devices: readonly string[] }): Promise<void> {
    const oneTime = await newOneTimeKey();
    await openReleased(await fetchSecret(broker(), 'ada', grant, { oneTime }), oneTime);
  }
}, {});
