import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Refusal, refusalStatus, type RefusalCode } from '../../src/agent/refusal.ts';
import { newId } from '../../src/domain/ids.ts';
import {
  newDoorstep,
  refusedWith,
  type CredentialParts,
  type Doorstep,
  type PresentChanges,
} from './support/doorstep.ts';
import { newSigningKey, sha256 } from './support/signing-key.ts';
import { testStart } from './support/test-clock.ts';
import { newTestLedger } from './support/test-ledger.ts';

let at: Doorstep;
before(async () => {
  at = await newDoorstep();
});
after(() => at.close());

/** A fault of a call, and the code it must be refused with. Earlier ones come first in what is said. */
interface Fault {
  readonly code: RefusalCode;
  readonly what: string;
  readonly credential?: () => Promise<CredentialParts> | CredentialParts;
  readonly call?: () => PresentChanges;
  readonly grants?: () => Doorstep['broker']['grants'];
}

const faults: readonly Fault[] = [
  { code: 'no-credential', what: 'comes as Bearer', call: () => ({ authorization: ['Bearer x.y.z'] }) },
  {
    code: 'bad-signature',
    what: 'is of a key that is not the broker’s',
    credential: async () => ({ key: await newSigningKey() }),
  },
  { code: 'wrong-type', what: 'is a plain JWT', credential: () => ({ header: { typ: 'JWT' } }) },
  {
    code: 'wrong-issuer',
    what: 'is of another issuer',
    credential: () => ({ claims: { iss: 'https://other.example' } }),
  },
  {
    code: 'wrong-device',
    what: 'is for another device',
    credential: () => ({ claims: { aud: `urn:latchkey:device:${newId('device', testStart)}` } }),
  },
  {
    code: 'expired',
    what: 'has run out',
    credential: () => ({ claims: { iat: testStart / 1_000 - 20, exp: testStart / 1_000 - 10 } }),
  },
  { code: 'not-yet-valid', what: 'is for later', credential: () => ({ claims: { nbf: testStart / 1_000 + 10 } }) },
  { code: 'bad-proof', what: 'has a proof for another method', call: () => ({ proofClaims: { htm: 'DELETE' } }) },
  { code: 'no-receipt', what: 'comes without its receipt', call: () => ({ receipt: undefined }) },
  { code: 'bad-receipt', what: 'has a receipt of another ledger', call: () => ({ ledger: newTestLedger() }) },
  { code: 'grant-not-live', what: 'rests on a grant that is not listed', grants: () => [] },
  { code: 'scope-missing', what: 'does not allow the action', call: () => ({ scope: 'secret.read:local-admin' }) },
];

describe('the checklist at the door', () => {
  it('lets in a credential that holds all it must, and says what it rests on', async () => {
    const credential = await at.credential();
    const verified = await at.verify(credential, { scope: 'device.inspect' });
    assert.equal(verified.grant, at.grant);
    assert.equal(verified.person, at.person);
    assert.equal(verified.jkt, at.holder.kid);
    assert.equal(verified.credential, sha256(credential));
  });

  it('takes up again after a fault is gone', async () => {
    for (const fault of faults) {
      await refusedWith(fault.code, attempt([fault]));
      await at.verify(await at.credential());
    }
  });

  for (const [index, fault] of faults.entries()) {
    it(`says \`${fault.code}\` of a credential that ${fault.what}, before anything that comes later`, async () => {
      const refusal = await refusedWith(fault.code, attempt([fault]));
      assert.equal(refusal.status, refusalStatus[fault.code]);
      for (const later of faults.slice(index + 1)) await refusedWith(fault.code, attempt([fault, later]));
    });
  }

  it('says `replayed-proof` after the proof’s own faults and before the grant’s', async () => {
    const presented = await at.present(await at.credential());
    await at.verifier.verifyCredential(presented);
    await refusedWith('replayed-proof', at.verifier.verifyCredential(presented));
    await withGrants([], () => refusedWith('replayed-proof', at.verifier.verifyCredential(presented)));
  });

  it('names the subject of a refusal only once credential, proof and receipt are verified', async () => {
    for (const fault of faults) {
      const { subject, status } = await refusedWith(fault.code, attempt([fault]));
      assert.equal(subject !== null, status === 403 && !fault.code.endsWith('-receipt'), fault.code);
    }
  });

  it('refuses a credential in which any claim is missing, of another kind, or changed', async () => {
    for (const name of Object.keys(at.claims())) {
      for (const value of [undefined, null, '', 0, -1, 'x', true, [], {}, [at.claims()[name]]]) {
        const credential = await at.credential({ claims: { [name]: value } });
        await assert.rejects(at.verify(credential), Refusal, `${name} = ${JSON.stringify(value)}`);
      }
    }
  });

  it('refuses a credential with any one character changed', async () => {
    const credential = await at.credential();
    const anyCharacter = fc.constantFrom(...Array.from('ABCXYZabcxyz0189-_.=+/'));
    const place = fc.integer({ min: 0, max: credential.length - 1 });
    await fc.assert(
      fc.asyncProperty(place, anyCharacter, async (index, character) => {
        fc.pre(credential[index] !== character);
        const changed = credential.slice(0, index) + character + credential.slice(index + 1);
        await assert.rejects(at.verify(changed), Refusal);
      }),
      { numRuns: 400 },
    );
  });

  it('takes one proof with the credential it names and no other', async () => {
    const [one, other] = [await at.credential(), await at.credential()];
    const { proof } = await at.present(one);
    await refusedWith('bad-proof', at.verify(other, { proof: proof! }));
  });

  async function attempt(wrong: readonly Fault[]): Promise<unknown> {
    const parts: CredentialParts[] = [];
    for (const fault of wrong) parts.push((await fault.credential?.()) ?? {});
    const claims = Object.assign({}, ...parts.map((part) => part.claims)) as Record<string, unknown>;
    const header = Object.assign({}, ...parts.map((part) => part.header)) as object;
    const key = parts.find((part) => part.key)?.key ?? at.broker.credentialKey;
    const credential = await at.credential({ claims, header, key });
    const changes = Object.assign({}, ...wrong.map((fault) => fault.call?.())) as PresentChanges;
    const grants = wrong.find((fault) => fault.grants)?.grants?.() ?? [at.listed()];
    return withGrants(grants, () => at.verify(credential, changes));
  }

  async function withGrants<T>(grants: Doorstep['broker']['grants'], work: () => Promise<T>): Promise<T> {
    const before = at.broker.grants;
    await at.broker.push(grants);
    await at.connect();
    try {
      return await work();
    } finally {
      await at.broker.push(before);
      await at.connect();
    }
  }
});
