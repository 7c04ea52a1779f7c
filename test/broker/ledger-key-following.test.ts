import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createLedgerKeys, type Clocks, type LedgerKeys } from '../../src/agent/index.ts';
import type { Rotation } from '../../src/credentials/rotation.ts';
import { pinKeys } from '../../src/ledger/pinned-keys.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { openDeviceDoor, type DeviceDoor, type Minted } from '../support/device-door.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { openTestKeysDesk, type TestKeysDesk } from '../support/keys-desk.ts';
import { eventually, mint, ok, sleep } from './support/scenario.ts';

/** An hour becomes a second, a day two and a half; a device's seconds go by so much faster. */
const times = { lead: 1_000, overlap: 2_500 };
const still = { lead: 3_600_000, overlap: 3_600_000 };
const keys: Partial<Rotation> = {
  times: { credential: still, statement: still, ledger: times },
  readEvery: 100,
  askEvery: 50,
};
const fast: Clocks = { wall: () => Date.now() * 100, monotonic: () => performance.now() * 100 };
/** How old a receipt gets at that scale before it is presented. */
const longestLife = 1_200;

let broker: TestBroker;
let desk: TestKeysDesk;
let holder: EngineerKey;
let grant: Awaited<ReturnType<TestBroker['grant']>>;
let first: string;
before(async () => {
  broker = await newTestBroker({ brokers: 2, keys, quiet: true });
  desk = await openTestKeysDesk(broker);
  holder = await newEngineerKey();
  grant = await broker.grant('ada', 'remediate');
  first = broker.brokers[0]!.context.keys.ledger.vkey;
});
after(async () => {
  await desk.close();
  await broker.checkLedger();
  await broker.stop();
});

const mintOne = (): Promise<Minted> => ok(mint(broker, 'ada', grant, { key: holder }), 201) as Promise<Minted>;
const newKeys = (pinned: string): LedgerKeys =>
  createLedgerKeys({
    issuer: broker.config.publicUrl,
    pinned: pinKeys(pinned),
    remember: async () => {},
    clocks: fast,
  });
const openDoor = (ledgerKeys: LedgerKeys): Promise<DeviceDoor> =>
  openDeviceDoor(broker, { device: broker.contoso.devices[0]!, ledgerKey: first, ledgerKeys });

test('key rotation without a false refusal, no acceptance after retirement: the ledger’s key, four times under load', async () => {
  const ledgerKeys = newKeys(first);
  const door = await openDoor(ledgerKeys);
  const oldest = await mintOne();
  assert.equal(await door.refuses(oldest, holder), null);
  const refusals: string[] = [];
  const byKey = new Map<string, Minted>();
  let presented = 0;
  const over = new AbortController();
  const load = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const asked = performance.now();
      const minted = await mintOne();
      for (const [, id] of minted.receipt.matchAll(/^— \S+ (\S{5})/gm)) byKey.set(id!, minted);
      await sleep(Math.random() * 600);
      if (performance.now() - asked > longestLife) continue;
      const refusal = await door.refuses(minted, holder);
      if (refusal !== null) refusals.push(refusal);
      presented++;
    }
  };
  const listen = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await door.refresh();
      await sleep(100);
    }
  };
  const work = [load(), load(), load(), listen()];
  const retired: string[] = [];
  for (let turn = 0; turn < 4; turn++) {
    retired.push(broker.brokers[0]!.context.keys.ledger.vkey);
    await desk.rotate('ledger', false);
    await eventually(async () => broker.brokers.every(({ context }) => context.keys.ledger.published().length === 2));
    const next = broker.brokers[0]!.context.keys.ledger.published().at(-1)!.vkey;
    await eventually(async () =>
      broker.brokers.every(
        ({ context }) =>
          context.keys.ledger
            .published()
            .map(({ vkey }) => vkey)
            .join() === next,
      ),
    );
  }
  await sleep(200);
  over.abort();
  await Promise.all(work);
  assert.deepEqual(refusals, [], `of ${presented} presented`);
  assert.equal(byKey.size, 5, 'each key signed');
  assert.ok(presented > 20, `only ${presented} were presented`);

  const newest = broker.brokers[0]!.context.keys.ledger.vkey;
  assert.deepEqual(ledgerKeys.counting(Date.now()), [newest]);
  // The credential itself is good for ten minutes; what retired keys signed of it is not.
  assert.match((await door.refuses(oldest, holder)) ?? 'let in', /^bad-receipt/);
  assert.equal(await door.refuses(await mintOne(), holder), null);
  const events = (await broker.events('key.rotated')) as { from: string }[];
  assert.deepEqual(
    events.map(({ from }) => from),
    retired,
  );
});

test('a device that was off for all of that follows at once, and refuses nothing that is good', async () => {
  const ledgerKeys = newKeys(first);
  const minted = await mintOne();
  const door = await openDoor(ledgerKeys);
  assert.equal(await door.refuses(minted, holder), null);
  assert.deepEqual(ledgerKeys.counting(Date.now()), [broker.brokers[0]!.context.keys.ledger.vkey]);
});

test('a device that has had no hint asks for itself when it is shown a receipt of a key that it does not know', async () => {
  const ledgerKeys = newKeys(first);
  const silent: LedgerKeys = { ...ledgerKeys, heard: () => {} };
  const door = await openDoor(silent);
  assert.equal(await door.refuses(await mintOne(), holder), null);
});
