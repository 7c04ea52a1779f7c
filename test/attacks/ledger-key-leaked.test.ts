import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createLedgerKeys, type LedgerKeys } from '../../src/agent/index.ts';
import { makeRecoveryKey, signRecoveryStatement } from '../../src/cli/keys/recovery.ts';
import { recoverLedgerKey } from '../../src/broker/recover-ledger-key.ts';
import type { Rotation } from '../../src/credentials/rotation.ts';
import { enrolmentCodeSuffix } from '../../src/domain/enrolment-code.ts';
import { signRecovery } from '../../src/ledger/key-recovery.ts';
import { pinKeys, type PinnedKeys } from '../../src/ledger/pinned-keys.ts';
import { parseVkey } from '../../src/ledger/vkey.ts';
import { newTestClock } from '../agent/support/test-clock.ts';
import { eventually, mint, ok } from '../broker/support/scenario.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newTestDevice } from '../support/device.ts';
import { openDeviceDoor } from '../support/device-door.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { openTestKeysDesk, type TestKeysDesk } from '../support/keys-desk.ts';
import { newLedgerKey, newRecoveryKey, rotationProof, type TestLedgerKey } from '../support/ledger-key.ts';

const origin = 'latchkey.test/eu';
const still = { lead: 3_600_000, overlap: 3_600_000 };
const keys: Partial<Rotation> = {
  times: { credential: still, statement: still, ledger: still },
  readEvery: 100,
  askEvery: 50,
};

let directory: string;
let recoveryKey: string;
let broker: TestBroker;
let desk: TestKeysDesk;
let leaked: TestLedgerKey;
let checkpointFile: string;
/** The thief, who stands between the broker and one device and holds the ledger's key. */
let thief: Server;
let thiefsAnswer: unknown;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-recovery-'));
  recoveryKey = await makeRecoveryKey(origin, join(directory, 'recovery.json'));
  broker = await newTestBroker({ brokers: 2, keys, quiet: true, config: { ledger: { origin, recoveryKey } } });
  desk = await openTestKeysDesk(broker);
  const { vkey, privateKey } = broker.brokers[0]!.context.keys.ledger.signing();
  leaked = { vkey, privateKey, key: parseVkey(vkey) };
  checkpointFile = join(directory, 'checkpoint');
  await writeFile(checkpointFile, await ok(broker.call(null, 'GET', '/ledger/checkpoint')));
  thief = createServer((_, response) => response.end(JSON.stringify(thiefsAnswer)));
  await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  thief.close();
  await desk.close();
  await broker.checkLedger();
  await broker.stop();
  await rm(directory, { recursive: true });
});

const vkeys = (index: number): string =>
  broker.brokers[index]!.context.keys.ledger.published()
    .map(({ vkey }) => vkey)
    .join();
const issuers = () => ({
  broker: broker.config.publicUrl,
  thief: `http://127.0.0.1:${(thief.address() as AddressInfo).port}`,
});
function agentKeys(issuer: string, pinned: PinnedKeys): LedgerKeys & { readonly kept: () => PinnedKeys } {
  let kept = pinned;
  const remember = async (next: PinnedKeys): Promise<void> => void (kept = next);
  return { ...createLedgerKeys({ issuer, pinned, remember, clocks: newTestClock() }), kept: () => kept };
}

test('the recovery key is for its owner alone, and a code vouches for it: nobody can take it out or put one in', async () => {
  assert.equal((await stat(join(directory, 'recovery.json'))).mode & 0o777, 0o600);
  await assert.rejects(makeRecoveryKey(origin, join(directory, 'recovery.json')), /cannot be made \(EEXIST\)/);
  const { code } = await ok(broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id }), 201);
  const device = await newTestDevice(broker.config.publicUrl, broker.brokers[0]!.url);
  const { body } = await device.enrol(code);
  assert.equal(body.recoveryKey, recoveryKey);
  const suffix = code.slice(code.lastIndexOf('-') + 1);
  const { publicUrl } = broker.config;
  assert.equal(suffix, enrolmentCodeSuffix(publicUrl, leaked.vkey, recoveryKey));
  assert.notEqual(suffix, enrolmentCodeSuffix(publicUrl, leaked.vkey));
  assert.notEqual(suffix, enrolmentCodeSuffix(publicUrl, leaked.vkey, newRecoveryKey(origin).vkey));
});

test('the leaked key is out everywhere on the word of the recovery key, also where a thief had rotated it to his own', async () => {
  const holder = await newEngineerKey();
  const grant = await broker.grant('ada', 'remediate');
  const mintOne = () => ok(mint(broker, 'ada', grant, { key: holder }), 201);
  const pinned = pinKeys(leaked.vkey, recoveryKey);
  const ledgerKeys = agentKeys(issuers().broker, pinned);
  const door = await openDeviceDoor(broker, { device: broker.contoso.devices[0]!, ledgerKey: leaked.vkey, ledgerKeys });
  const early = await mintOne();
  assert.equal(await door.refuses(early, holder), null);

  const own = newLedgerKey(origin);
  const proof = await rotationProof({ from: leaked, to: own, until: Date.now() + 86_400_000 });
  thiefsAnswer = { recovery: null, rotations: [{ from: leaked.vkey, to: own.vkey, proof }] };
  const deceived = agentKeys(issuers().thief, pinned);
  await deceived.refresh();
  assert.deepEqual(deceived.counting(Date.now()), [leaked.vkey, own.vkey], 'the thief holds what was trusted');

  const successor = await desk.prepareRecovery();
  assert.equal(await desk.prepareRecovery(), successor);
  for (const index of [0, 1]) assert.equal(vkeys(index), leaked.vkey, 'what is prepared signs nothing');
  const statement = await signRecoveryStatement({
    keyFile: join(directory, 'recovery.json'),
    successor,
    checkpointFile,
    number: 7,
  });
  await desk.recover(statement);
  await desk.recover(statement);
  for (const index of [0, 1]) await eventually(async () => vkeys(index) === successor);

  const { kept } = deceived;
  const undeceived = agentKeys(issuers().broker, kept());
  await undeceived.refresh();
  for (const each of [undeceived, ledgerKeys]) {
    await door.refresh();
    await each.idle();
    await eventually(async () => (await each.refresh(), each.counting(0).join() === successor));
  }
  assert.match((await door.refuses(early, holder)) ?? 'let in', /^bad-receipt/);
  assert.equal(await door.refuses(await mintOne(), holder), null);
  const event = (await broker.events('key.rotated')).at(-1);
  assert.deepEqual(
    [event.key, event.from, event.to, event.cause, event.withdrawn, event.statement],
    ['ledger', leaked.vkey, successor, 'recovered', [leaked.vkey], statement],
  );
  await eventually(async () => !(await desk.context.vault.versions('ledger-signing-key'))[0]!.enabled);

  // And whatever the thief signs now, he signs with a key that nobody follows.
  thiefsAnswer = { recovery: statement, rotations: [{ from: leaked.vkey, to: own.vkey, proof }] };
  const again = agentKeys(issuers().thief, undeceived.kept());
  assert.equal(await again.refresh(), false);
  assert.deepEqual(again.counting(0), [successor]);
});

test('a planned rotation goes on from there, for whoever followed the recovery and whoever comes late', async () => {
  const before = vkeys(0);
  await desk.rotate('ledger', false);
  await eventually(async () => [0, 1].every((index) => vkeys(index).includes(',')));
  const next = vkeys(0).split(',')[1]!;
  for (const vkey of [before, leaked.vkey]) {
    const agent = agentKeys(issuers().broker, pinKeys(vkey, recoveryKey));
    await eventually(async () => {
      const clocked = agentKeys(issuers().broker, agent.kept());
      await clocked.refresh();
      return clocked.counting(Date.now()).at(-1) === next;
    });
  }
  const without = agentKeys(issuers().broker, pinKeys(leaked.vkey));
  assert.equal(await without.refresh(), false, 'a device that pinned no recovery key has to enrol anew');
});

test('the recovery key alone can say so, for this ledger, once, of a key that was prepared, on the history that is there', async () => {
  const successor = await desk.prepareRecovery();
  const sign = (change: { number?: number; key?: string; checkpoint?: string }) =>
    signRecoveryStatement({
      keyFile: join(directory, change.key ?? 'recovery.json'),
      successor,
      checkpointFile: change.checkpoint ?? checkpointFile,
      number: change.number ?? 8,
    });
  const published = vkeys(0);
  await makeRecoveryKey(origin, join(directory, 'other.json'));
  await makeRecoveryKey('latchkey.test/us', join(directory, 'elsewhere.json'));
  await assert.rejects(sign({ key: 'elsewhere.json' }), /the checkpoint is of `latchkey.test\/eu`/);
  await assert.rejects(desk.recover(await sign({ key: 'other.json' })), /no signature is of a known key/);
  await assert.rejects(desk.recover(await sign({ number: 7 })), /with that number, or a later one/);
  await assert.rejects(desk.recover(await sign({ number: 3 })), /with that number, or a later one/);
  await assert.rejects(desk.recover('nonsense'), /is no statement of/);
  const forged = signRecovery({ origin, number: 9, successor, size: 0, root: Buffer.alloc(32) }, leaked.privateKey);
  await assert.rejects(desk.recover(forged), /no signature is of a known key/);
  const statement = await sign({});
  await assert.rejects(desk.recover(statement.replace(successor, newLedgerKey(origin).vkey)), /is not good/);
  const text = await ok(broker.call(null, 'GET', '/ledger/checkpoint'));
  const other = join(directory, 'other-checkpoint');
  await writeFile(other, text.replace(/^\d+$/m, '2'));
  await assert.rejects(desk.recover(await sign({ checkpoint: other })), /does not continue the history of 2 entries/);
  await writeFile(other, text.replace(/^\d+$/m, '999999'));
  await assert.rejects(desk.recover(await sign({ checkpoint: other })), /does not continue the history/);
  const { context } = desk;
  await assert.rejects(recoverLedgerKey({ ...context, recoveryKey: null }, statement), /devices have to enrol anew/);
  assert.equal(vkeys(0), published);
});
