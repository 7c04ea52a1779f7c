import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { decodeProtectedHeader } from 'jose';
import type { Rotation } from '../../src/credentials/rotation.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { openDeviceDoor, type DeviceDoor, type Minted } from '../support/device-door.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { openTestKeysDesk, type TestKeysDesk } from '../support/keys-desk.ts';
import { eventually, mint, ok, sleep } from './support/scenario.ts';

/** Minutes become fractions of a second. */
const brief = { lead: 1_200, overlap: 1_500 };
const keys: Partial<Rotation> = {
  times: { credential: brief, statement: brief, ledger: brief },
  readEvery: 100,
  askEvery: 50,
};
/** How old a device's copy of the keys gets at that scale, and a credential. */
const scaled = { copy: 400, life: 900 };
const kidOf = (jwt: string): string => decodeProtectedHeader(jwt).kid!;

interface World {
  readonly broker: TestBroker;
  readonly desk: TestKeysDesk;
  readonly door: DeviceDoor;
  readonly holder: EngineerKey;
  readonly grant: Awaited<ReturnType<TestBroker['grant']>>;
  published(index: number): Promise<string[]>;
  mint(): Promise<Minted>;
  stop(): Promise<void>;
}

async function newWorld(rotation = keys): Promise<World> {
  const broker = await newTestBroker({ brokers: 2, keys: rotation, quiet: true });
  const desk = await openTestKeysDesk(broker);
  const holder = await newEngineerKey();
  const grant = await broker.grant('ada', 'remediate');
  const ledgerKey = broker.brokers[0]!.context.keys.ledger.vkey;
  const door = await openDeviceDoor(broker, { device: broker.contoso.devices[0]!, ledgerKey });
  return {
    broker,
    desk,
    door,
    holder,
    grant,
    async published(index) {
      const { keys: found } = await ok(
        broker.call(null, 'GET', '/.well-known/jwks.json', undefined, { broker: index }),
      );
      return (found as { kid: string }[]).map(({ kid }) => kid);
    },
    mint: () => ok(mint(broker, 'ada', grant, { key: holder }), 201) as Promise<Minted>,
    async stop() {
      await desk.close();
      await broker.stop();
    },
  };
}

describe('a rotation', () => {
  let world: World;
  before(async () => {
    world = await newWorld();
  });
  after(() => world.stop());

  test('key rotation without a false refusal, no acceptance after retirement: ten times under load', async () => {
    const { broker, desk, door, holder } = world;
    const byKey = new Map<string, Minted>();
    const refusals: string[] = [];
    let presented = 0;
    const over = new AbortController();
    const load = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const asked = performance.now();
        const minted = await world.mint();
        byKey.set(kidOf(minted.credential), minted);
        await sleep(Math.random() * 600);
        // A machine that is busy elsewhere makes copies and credentials older than that scale allows for.
        if (door.age() > scaled.copy || performance.now() - asked > scaled.life) continue;
        const refusal = await door.refuses(minted, holder);
        if (refusal !== null) refusals.push(refusal);
        presented++;
      }
    };
    const listen = async (): Promise<void> => {
      while (!over.signal.aborted) {
        await door.refresh().catch((error: unknown) => {
          // As above: between the copy of the keys and the list, no more may pass than that scale allows for.
          if (door.age() <= scaled.copy) throw error;
        });
        await sleep(50);
      }
    };
    const work = [load(), load(), load(), load(), listen()];
    for (let turn = 0; turn < 10; turn++) {
      await Promise.all([desk.rotate('credential', false), desk.rotate('statement', false)]);
      const next = (await desk.list()).findLast(({ name }) => name === 'credential')!.key!;
      await eventually(async () => byKey.has(next) && (await desk.list()).every(({ state }) => state !== 'waiting'));
    }
    over.abort();
    await Promise.all(work);
    assert.deepEqual(refusals, [], `of ${presented} presented`);
    assert.equal(byKey.size, 11, 'each version signed');
    assert.ok(presented > 40, `only ${presented} were presented`);

    const [kept, ...retired] = [...byKey.keys()].toReversed();
    await eventually(async () => (await world.published(0)).length === 2 && (await world.published(1)).length === 2);
    await door.refresh();
    for (const kid of retired) {
      assert.match((await door.refuses(byKey.get(kid)!, holder)) ?? 'let in', /^bad-signature/, kid);
    }
    assert.equal(await door.refuses(byKey.get(kept!)!, holder), null);
    const events = await broker.events('key.rotated');
    assert.deepEqual(
      events.filter(({ key }) => key === 'credential').map(({ to }) => to),
      [...byKey.keys()].slice(1),
    );
    await broker.checkLedger();
  });
});
