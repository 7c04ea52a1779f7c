import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { decodeJwt } from 'jose';
import { verifyReceipt, type ReceiptClaims } from '../../src/ledger/receipt.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';

interface Entry {
  readonly event: { readonly tenant: string | null };
}

let broker: TestBroker;
before(async () => {
  broker = await newTestBroker();
});
after(() => broker.stop());

test('a credential comes with the receipt that it is in the ledger', async () => {
  const grant = await broker.grant('ada', 'remediate');
  const key = await newEngineerKey();
  const path = `/v1/grants/${grant.id}/credentials`;
  for (let i = 0; i < 5; i++) {
    const dpop = await key.proof('POST', broker.config.publicUrl + path);
    const minted = await broker.call('ada', 'POST', path, { device: grant.devices[0] }, { headers: { dpop } });
    assert.equal(minted.status, 201, JSON.stringify(minted.body));
    const { credential: jwt, receipt: text } = minted.body;
    const verdict = verifyReceipt({
      text,
      jwt,
      claims: decodeJwt(jwt) as unknown as ReceiptClaims,
      ledgerKey: broker.brokers[0]!.context.keys.ledger.vkey,
      origin: broker.config.ledger.origin,
    });
    assert.ok(verdict.ok, JSON.stringify(verdict));
  }
  await broker.checkLedger();
});

test('tiles, entries, checkpoint and proofs are served', async () => {
  const checkpoint = await broker.call(null, 'GET', '/ledger/checkpoint');
  assert.equal(checkpoint.status, 200);
  const size = Number(checkpoint.body.split('\n')[1]);
  const tile = await broker.call(null, 'GET', `/ledger/tile/0/000.p/${size}`);
  assert.equal(tile.status, 200, JSON.stringify(tile.body));
  assert.equal((await broker.call(null, 'GET', `/ledger/tile/0/000.p/200`)).status, 404);
  assert.equal((await broker.call('ada', 'GET', `/ledger/tile/entries/000.p/${size}`)).status, 403);
  assert.equal((await broker.call('aud', 'GET', `/ledger/tile/entries/000.p/${size}`)).status, 200);
  const { body } = await broker.call('aud', 'GET', '/v1/ledger/entries?type=grant.started');
  assert.ok(body.entries.length >= 1);
  const person = body.entries[0].event.person;
  const of = await broker.call('aud', 'GET', `/v1/ledger/entries?subject=${person}`);
  assert.ok(of.body.entries.length >= 2);
  const carmen = await broker.call('carmen', 'GET', '/v1/ledger/entries');
  assert.ok(
    carmen.body.entries.length > 0 && carmen.body.entries.every((e: Entry) => e.event.tenant === broker.contoso.id),
  );
  const felix = await broker.call('felix', 'GET', '/v1/ledger/entries');
  assert.ok(felix.body.entries.every((e: Entry) => e.event.tenant === broker.fabrikam.id));
  const tenants = await broker.call('aud', 'GET', `/v1/ledger/entries?subject=${broker.fabrikam.id}`);
  assert.deepEqual(tenants.body.entries, felix.body.entries, 'a tenant’s entries are found by its id');
  assert.ok(tenants.body.entries.length > 1);
  const inclusion = await broker.call(null, 'GET', `/v1/ledger/proof?index=1&size=${size}`);
  assert.equal(inclusion.status, 200, JSON.stringify(inclusion.body));
  const consistency = await broker.call(null, 'GET', `/v1/ledger/consistency?from=2&to=${size}`);
  assert.equal(consistency.status, 200);
  assert.equal((await broker.call(null, 'GET', `/v1/ledger/proof?index=1&size=100000`)).status, 400);
});
