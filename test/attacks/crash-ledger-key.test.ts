import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rotation } from '../../src/credentials/rotation.ts';
import { readLedgerKey, readRotation } from '../../src/ledger/key-rotation.ts';
import { startBroker, type ServeLog } from '../../src/serve.ts';
import { findSigningKeys } from '../../src/store/signing-keys.ts';
import { eventually } from '../broker/support/scenario.ts';
import { newTestBroker } from '../support/broker.ts';
import { openTestKeysDesk } from '../support/keys-desk.ts';

const still = { lead: 3_600_000, overlap: 3_600_000 };
const keys: Partial<Rotation> = {
  times: { credential: still, statement: still, ledger: still },
  readEvery: 100,
  askEvery: 50,
};
const silent = Object.fromEntries(['info', 'warn', 'error'].map((level) => [level, () => {}])) as unknown as ServeLog;

test('every broker dies between the event of a rotation and its proof: the next one signs with the old key alone, and proves', async () => {
  const broker = await newTestBroker({ keys, quiet: true });
  const desk = await openTestKeysDesk(broker);
  try {
    const from = broker.brokers[0]!.context.keys.ledger.vkey;
    await broker.brokers[0]!.stop();
    await desk.rotate('ledger', false);
    const rows = async () =>
      (await findSigningKeys(desk.context.pool)).filter(({ name }) => name === 'ledger').map(({ proof }) => proof);
    assert.deepEqual(await rows(), [null, null]);
    const next = await startBroker(broker.config, silent);
    try {
      await eventually(async () => (await rows())[1] !== null);
      const { to } = readRotation((await rows())[1]!, readLedgerKey(from));
      await eventually(async () => next.context.keys.ledger.published().length === 2);
      assert.deepEqual(
        next.context.keys.ledger.published().map(({ vkey }) => readLedgerKey(vkey).id),
        [readLedgerKey(from).id, to.id],
      );
    } finally {
      await next.stop();
    }
  } finally {
    await desk.close();
    await broker.checkLedger();
    await broker.stop();
  }
});
