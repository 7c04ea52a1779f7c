import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { createReceiptCheck } from '../../src/agent/receipts.ts';
import { cosignNote } from '../../src/ledger/note-signatures.ts';
import { formatVkey } from '../../src/ledger/vkey.ts';
import { forge, newDoorstep, refusedWith, type Doorstep } from '../agent/support/doorstep.ts';
import { testStart } from '../agent/support/test-clock.ts';
import { headerOf, newTestLedger } from '../agent/support/test-ledger.ts';

let at: Doorstep;
before(async () => {
  at = await newDoorstep();
});
after(() => at.close());

describe('whoever has the credential, ledger and statement keys', () => {
  const witness = newWitness('witness.test/one');
  const another = newWitness('witness.test/two');

  it('opens a door unlogged at an agent that asks nobody else', async () => {
    const unseen = newTestLedger(at.broker.ledger.origin, at.broker.ledger.privateKey);
    const { holder, credential } = await forge(at);
    await at.verify(credential, { holder, ledger: unseen });
  });

  it('opens none at an agent that demands witnesses, whom the unlogged checkpoint was never shown', async () => {
    const watched = await newDoorstep({ witnesses: { keys: [witness.vkey, another.vkey], needed: 2 } });
    try {
      const { holder, credential } = await forge(watched);
      await refusedWith('bad-receipt', watched.verify(credential, { holder }));
      const receipts = [
        (note: string) => note + witness.cosign(note),
        (note: string) => note + witness.cosign(note) + witness.cosign(note),
        (note: string) => note + witness.cosign(note) + newWitness(another.name).cosign(note),
        (note: string) => note + witness.cosign(note) + another.cosign(note.replace(/\n\d+\n/, '\n1\n')),
      ];
      for (const cosign of receipts) {
        const receipt = [headerOf(await watched.broker.ledger.receipt(credential, { cosign }))];
        await refusedWith('bad-receipt', watched.verify(credential, { holder, receipt }));
      }
      const cosign = (note: string) => note + witness.cosign(note) + another.cosign(note);
      const receipt = [headerOf(await watched.broker.ledger.receipt(credential, { cosign }))];
      await watched.verify(credential, { holder, receipt });
    } finally {
      await watched.close();
    }
  });

  it('cannot be let in by a demand that asks for nobody: such an agent does not start', () => {
    for (const witnesses of [
      { keys: [], needed: 1 },
      { keys: [witness.vkey], needed: 0 },
      { keys: [witness.vkey, witness.vkey], needed: 2 },
      { keys: [at.broker.ledger.vkey], needed: 1 },
      { keys: ['witness'], needed: 1 },
    ]) {
      const demand = () => createReceiptCheck({ ledgerKey: at.broker.ledger.vkey, witnesses });
      assert.throws(demand, ({ name }: Error) => ['RangeError', 'Malformed'].includes(name));
    }
  });
});

describe('a device that was enrolled without a ledger key, or with none that can be read', () => {
  for (const ledgerKey of [null, '', 'ledger.test/eu', newWitness('ledger.test/eu').vkey]) {
    it(`lets nobody in: \`${ledgerKey ?? 'nothing'}\``, async () => {
      const doorstep = await newDoorstep({ ledgerKey });
      try {
        await refusedWith('bad-receipt', doorstep.verify(await doorstep.credential()));
      } finally {
        await doorstep.close();
      }
    });
  }
});

function newWitness(name: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const bytes = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
  return {
    name,
    vkey: formatVkey(name, 'cosignature', bytes),
    /** A line to follow the signatures of a checkpoint. */
    cosign(note: string): string {
      const text = note.slice(0, note.indexOf('\n\n') + 1);
      return cosignNote(text, name, privateKey, testStart / 1_000);
    },
  };
}
