import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { decodeProtectedHeader } from 'jose';
import type { Rotation } from '../../src/credentials/rotation.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { openDeviceDoor, type DeviceDoor, type Minted } from '../support/device-door.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { startKeyVault, type TestKeyVault } from '../support/key-vault.ts';
import { openTestKeysDesk, type TestKeysDesk } from '../support/keys-desk.ts';
import { eventually, mint, ok, sleep } from './support/scenario.ts';

/** Minutes become seconds. */
const brief = { lead: 4_000, overlap: 6_000 };
const keys: Partial<Rotation> = {
  times: { credential: brief, statement: brief, ledger: brief },
  readEvery: 200,
  askEvery: 100,
};
/** How old a device's copy of the keys gets at that scale. */
const oldestCopy = 2_000;

let vault: TestKeyVault;
let broker: TestBroker;
let desk: TestKeysDesk;
let door: DeviceDoor;
before(async () => {
  vault = await startKeyVault();
  process.env.LATCHKEY_KEY_VAULT_TOKEN = vault.token;
  broker = await newTestBroker({ brokers: 2, keys, quiet: true, config: { secrets: { keyVault: vault.url } } });
  desk = await openTestKeysDesk(broker);
  const ledgerKey = broker.brokers[0]!.context.keys.ledger.vkey;
  door = await openDeviceDoor(broker, { device: broker.contoso.devices[0]!, ledgerKey });
});
after(async () => {
  await desk.close();
  await broker.stop();
  await vault.stop();
});

const published = async (index: number): Promise<string[]> => {
  const { keys: found } = await ok(broker.call(null, 'GET', '/.well-known/jwks.json', undefined, { broker: index }));
  return (found as { kid: string }[]).map(({ kid }) => kid);
};
const circuits = async (): Promise<string[]> =>
  Promise.all(
    [0, 1].map(async (index) => {
      const { status, body } = await broker.call(null, 'GET', '/readyz', undefined, { broker: index });
      assert.equal(status, 200, 'without its vault a broker takes traffic all the same');
      return body.vault.circuit as string;
    }),
  );

test('two brokers that start at once on an empty vault have the same keys, and every door opens for either', async () => {
  assert.deepEqual(await published(0), await published(1));
  const holder = await newEngineerKey();
  const grant = await broker.grant('ada', 'remediate');
  await door.refresh();
  for (let i = 0; i < 4; i++) {
    const minted = (await ok(mint(broker, 'ada', grant, { key: holder }), 201)) as Minted;
    assert.equal(await door.refuses(minted, holder), null);
  }
});

test('a vault that is stopped and started while keys are rotated and credentials used: no check fails', async () => {
  const holder = await newEngineerKey();
  const grant = await broker.grant('ada', 'remediate');
  await door.refresh();
  const refusals: string[] = [];
  const signers = new Set<string>();
  const outages: number[] = [];
  let [presented, duringOutage, isAway] = [0, 0, false];
  const over = new AbortController();
  const load = async (): Promise<void> => {
    while (!over.signal.aborted) {
      // An answer without a credential ends the test: the vault is not needed for one.
      const minted = (await ok(mint(broker, 'ada', grant, { key: holder }), 201)) as Minted;
      signers.add(decodeProtectedHeader(minted.credential).kid!);
      await sleep(Math.random() * 300);
      if (door.age() > oldestCopy) continue;
      const refusal = await door.refuses(minted, holder);
      if (refusal !== null) refusals.push(refusal);
      presented++;
      if (isAway) duringOutage++;
    }
  };
  const listen = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await door.refresh();
      await sleep(100);
    }
  };
  const work = Promise.all([load(), load(), load(), listen()]);
  const story = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) {
      await desk.rotate('credential', false);
      const next = (await desk.list()).findLast(({ name }) => name === 'credential')!.key!;
      await eventually(async () => (await published(0)).includes(next) && (await published(1)).includes(next));
      // Both have read it. Now the vault goes, and the new key takes its turn by the clock alone.
      const began = performance.now();
      isAway = true;
      await vault.stop();
      await eventually(async () => (await circuits()).every((circuit) => circuit !== 'closed'), 30_000);
      await eventually(async () => signers.has(next), 30_000);
      await vault.start();
      isAway = false;
      outages.push(performance.now() - began);
      await eventually(async () => (await circuits()).every((circuit) => circuit === 'closed'), 30_000);
      await eventually(async () => (await desk.list()).every(({ state }) => state !== 'waiting'));
    }
  };
  await Promise.race([story(), work]).finally(() => over.abort());
  await work;
  assert.deepEqual(refusals, [], `of ${presented} presented`);
  assert.equal(signers.size, 4, 'each version signed');
  assert.ok(duringOutage > 10, `only ${duringOutage} of ${presented} were presented while the vault was away`);
  await broker.checkLedger();
});

test('rotated in the middle of a session, neither device nor person notices', async () => {
  const holder = await newEngineerKey();
  const grant = await broker.grant('ada', 'remediate');
  await door.refresh();
  const early = (await ok(mint(broker, 'ada', grant, { key: holder }), 201)) as Minted;
  assert.equal(await door.refuses(early, holder), null);
  await desk.rotate('credential', false);
  const next = (await desk.list()).findLast(({ name }) => name === 'credential')!.key!;
  const renewed = async (): Promise<Minted> => {
    await door.refresh();
    assert.equal(await door.refuses(early, holder), null, 'what the old key signed goes on');
    const minted = (await ok(mint(broker, 'ada', grant, { key: holder }), 201)) as Minted;
    assert.equal(await door.refuses(minted, holder), null);
    return minted;
  };
  await eventually(async () => decodeProtectedHeader((await renewed()).credential).kid === next);
  await broker.checkLedger();
});
