import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { mint, ok } from '../broker/support/scenario.ts';
import { grow } from '../cli/watch/support.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';
import type { Minted } from '../support/device-door.ts';
import { verifyReceiptOf, verifyWholeLedger, type Get } from './stranger/verifier.ts';

/** What somebody can check who has read `docs/ledger-format.md` and nothing else. */
let broker: TestBroker;
let vkey: string;
let pinned: string;
let minted: Minted;
let size: number;
const paths = new Set<string>();

/** Reads as an auditor, from a copy: the ledger grows no more. */
const kept = new Map<string, Buffer>();
const get: Get = async (path) => {
  paths.add(path);
  const had = kept.get(path);
  if (had) return had;
  const token = await broker.issuer.tokenFor(people.aud);
  const response = await fetch(broker.brokers[0]!.url + path, { headers: { authorization: `Bearer ${token}` } });
  assert.equal(response.status, 200, path);
  const bytes = Buffer.from(await response.arrayBuffer());
  kept.set(path, bytes);
  return bytes;
};

before(async () => {
  broker = await newTestBroker();
  vkey = broker.brokers[0]!.context.keys.ledger.vkey;
  const grant = await broker.grant('ada', 'remediate');
  minted = (await ok(mint(broker, 'ada', grant), 201)) as Minted;
  pinned = (await broker.call(null, 'GET', '/ledger/checkpoint')).body;
  await ok(broker.call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'enough' }));
  await broker.grant('ada', 'remote-admin');
  size = await grow(broker, 600);
});
after(() => broker.stop());

describe('a stranger who has only the document', () => {
  test('verifies a whole ledger, and that it continues what was seen before', async () => {
    assert.equal(await verifyWholeLedger(get, vkey, pinned), size);
    assert.ok(size > 512);
    for (const path of ['/ledger/tile/0/001', '/ledger/tile/1/000.p/2', '/ledger/tile/entries/000']) {
      assert.ok(paths.has(path), path);
    }
  });

  test('finds any byte that was changed, wherever it is', async () => {
    await verifyWholeLedger(get, vkey, pinned);
    for (const path of paths) {
      const bytes = await get(path);
      for (const at of [0, Math.floor(bytes.length / 3), bytes.length - 2]) {
        const changed: Get = async (asked) => {
          const found = Buffer.from(await get(asked));
          if (asked === path) found[at]! ^= 1;
          return found;
        };
        await assert.rejects(verifyWholeLedger(changed, vkey, pinned), `${path} at ${at}`);
      }
    }
  });

  test('verifies a receipt, and refuses it for another credential, and with anything changed', async () => {
    const { credential, receipt } = minted;
    verifyReceiptOf(credential, receipt, vkey);
    const other = (await ok(mint(broker, 'ada', await broker.grant('ada', 'remediate')), 201)) as Minted;
    verifyReceiptOf(other.credential, other.receipt, vkey);
    assert.throws(() => verifyReceiptOf(other.credential, receipt, vkey), /another `credential`/);
    const bytes = Buffer.from(receipt);
    for (let at = 0; at < bytes.length - 1; at += 7) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      assert.throws(() => verifyReceiptOf(credential, changed.toString('utf8'), vkey), `at ${at}`);
    }
  });
});
