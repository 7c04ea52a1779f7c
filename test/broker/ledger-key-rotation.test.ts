import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { addVersion } from '../../src/broker/rotate-keys.ts';
import type { Rotation } from '../../src/credentials/rotation.ts';
import { enrolmentCodeSuffix } from '../../src/domain/enrolment-code.ts';
import { openCheckpoint } from '../../src/ledger/checkpoint.ts';
import { readLedgerKey, readRotation } from '../../src/ledger/key-rotation.ts';
import { parseNote } from '../../src/ledger/note.ts';
import { parseServedKeys, type ServedKeys } from '../../src/ledger/served-keys.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newTestDevice } from '../support/device.ts';
import { openTestKeysDesk, type TestKeysDesk } from '../support/keys-desk.ts';
import { eventually, ok, sleep } from './support/scenario.ts';

/** An hour becomes a second and a half, a day two. */
const times = { lead: 1_500, overlap: 2_000 };
const still = { lead: 3_600_000, overlap: 3_600_000 };
const keys: Partial<Rotation> = {
  times: { credential: still, statement: still, ledger: times },
  readEvery: 100,
  askEvery: 50,
};

let broker: TestBroker;
let desk: TestKeysDesk;
before(async () => {
  broker = await newTestBroker({ brokers: 2, keys, quiet: true });
  desk = await openTestKeysDesk(broker);
});
after(async () => {
  await desk.close();
  await broker.checkLedger();
  await broker.stop();
});

const vkeys = (index: number): string[] =>
  broker.brokers[index]!.context.keys.ledger.published().map(({ vkey }) => vkey);
const served = async (index: number, after = ''): Promise<ServedKeys> =>
  parseServedKeys(await ok(broker.call(null, 'GET', `/v1/ledger/keys${after}`, undefined, { broker: index })));
const checkpoint = (index: number): Promise<string> =>
  ok(broker.call(null, 'GET', '/ledger/checkpoint', undefined, { broker: index }));
/** The key ids under the checkpoint. */
const signers = async (index: number): Promise<string[]> =>
  parseNote(await checkpoint(index)).signatures.map(({ name, id }) => `${name}+${id}`);
const named = (vkey: string): string => vkey.split('+').slice(0, 2).join('+');
const isDone = (): Promise<boolean> => eventually(async () => [0, 1].every((each) => vkeys(each).length === 1));

/** Rotates, and waits until the successor counts on both brokers. */
async function rotate(): Promise<{ from: string; to: string }> {
  const from = broker.brokers[0]!.context.keys.ledger.vkey;
  await desk.rotate('ledger', false);
  await eventually(async () => [0, 1].every((each) => vkeys(each).length === 2));
  return { from, to: vkeys(0).at(-1)! };
}

test('the ledger’s key proves its successor, which signs along until it signs alone; nobody acts meanwhile', async () => {
  const { from, to } = await rotate();
  for (const index of [0, 1]) {
    await eventually(async () => (await signers(index)).length === 2);
    assert.deepEqual(await signers(index), [named(from), named(to)]);
    assert.equal(broker.brokers[index]!.context.keys.ledger.vkey, from, 'newcomers are told the old one');
    const { recovery, rotations } = await served(index);
    assert.deepEqual([recovery, rotations.map((each) => [each.from, each.to])], [null, [[from, to]]]);
    const key = readLedgerKey(from);
    const rotation = readRotation(rotations[0]!.proof, key);
    const [event] = await broker.events('key.rotated');
    assert.deepEqual(JSON.parse(Buffer.from(rotation.event).toString()), event);
    assert.equal(rotation.until - Date.parse(event.at), times.lead + times.overlap);
    assert.deepEqual([event.key, event.from, event.to, event.cause], ['ledger', from, to, 'operator']);
    for (const each of [from, to]) {
      openCheckpoint(await checkpoint(index), { origin: key.name, ledgerKeys: [readLedgerKey(each)] });
    }
  }
  await eventually(async () => broker.brokers.every(({ context }) => context.keys.ledger.vkey === to));
  assert.equal(vkeys(0).length, 2, 'the old one still signs along');
  await isDone();
  await ok(broker.call('olu', 'PUT', '/v1/tenants/newcomer', { name: 'newcomer', region: 'EU' }), 201);
  await eventually(async () => (await signers(0)).join() === named(to));
  const versions = await desk.context.vault.versions('ledger-signing-key');
  await eventually(async () => !(await desk.context.vault.versions('ledger-signing-key'))[0]!.enabled);
  assert.equal(versions.length, 2);
});

test('a checkpoint gets the new key’s signature though nothing happens that would make another', async () => {
  const size = async () => Number((await checkpoint(0)).split('\n')[1]);
  const { from, to } = await rotate();
  await eventually(async () => (await signers(0)).includes(named(to)));
  const quiet = await size();
  await isDone();
  assert.equal(await size(), quiet);
  assert.deepEqual(await signers(0), [named(from), named(to)]);
});

test('a code that was made before still enrols: the device is told the key that the code vouches for', async () => {
  const old = broker.brokers[0]!.context.keys.ledger.vkey;
  const tenant = broker.contoso.id;
  const { code } = await ok(broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant }), 201);
  const { to } = await rotate();
  await eventually(async () => broker.brokers.every(({ context }) => context.keys.ledger.vkey === to));
  assert.ok(code.endsWith(enrolmentCodeSuffix(broker.config.publicUrl, old)));
  const fresh = await newTestDevice(broker.config.publicUrl, broker.brokers[1]!.url);
  const { status, body } = await fresh.enrol(code);
  assert.deepEqual([status, body.ledgerKey], [201, old]);
  await isDone();
});

test('a version that was added and not written down, since whoever did it died, is seen through by the brokers', async () => {
  await addVersion(desk.context, 'ledger', 'operator');
  await eventually(async () => [0, 1].every((each) => vkeys(each).length === 2));
  await isDone();
});

test('the answer leaves out what leads to the key that is known, by id or vkey, and begins anew for an unknown one', async () => {
  const { rotations } = await served(0);
  assert.equal(rotations.length, 4);
  for (const [place, { to }] of rotations.entries()) {
    for (const after of [to, to.split('+')[1]!]) {
      const found = await served(1, `?after=${encodeURIComponent(after)}`);
      assert.deepEqual(found.rotations, rotations.slice(place + 1));
    }
  }
  assert.deepEqual((await served(0, '?after=00000000')).rotations, rotations);
  assert.equal((await broker.call(null, 'GET', '/v1/ledger/keys?before=1')).status, 400);
  const { headers } = await broker.call(null, 'GET', '/v1/ledger/keys');
  assert.equal(headers.get('cache-control'), 'public, max-age=60');
});

test('a broker that has not got the key that took over signs nothing', async () => {
  const { keys: found } = broker.brokers[0]!.context;
  const { vault } = desk.context;
  await desk.rotate('ledger', false);
  await eventually(async () => vkeys(0).length === 2);
  const [, newest] = vkeys(0);
  await eventually(async () => found.ledger.vkey === newest);
  const version = (await vault.versions('ledger-signing-key')).at(-1)!.version;
  await vault.disable('ledger-signing-key', version);
  await eventually(async () => broker.brokers.every(({ context }) => context.keys.ledger.isBehind()));
  const before = await checkpoint(0);
  await broker.call('olu', 'PUT', '/v1/tenants/late', { name: 'late', region: 'EU' });
  await sleep(500);
  assert.equal(await checkpoint(0), before);
});
