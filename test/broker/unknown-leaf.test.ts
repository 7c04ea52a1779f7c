import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { decodeJwt, SignJWT } from 'jose';
import { newId } from '../../src/domain/ids.ts';
import { parseProofText } from '../../src/ledger/proof-text.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';

let broker: TestBroker;
let credential: string;
let place: { readonly receiptIndex: number; readonly checkpoint: { readonly size: number; readonly root: string } };
before(async () => {
  broker = await newTestBroker();
});
after(() => broker.stop());
beforeEach(async () => {
  const grant = await broker.grant('ada', 'remediate');
  const key = await newEngineerKey();
  const path = `/v1/grants/${grant.id}/credentials`;
  const headers = { dpop: await key.proof('POST', broker.config.publicUrl + path) };
  const { status, body } = await broker.call('ada', 'POST', path, { device: grant.devices[0] }, { headers });
  assert.equal(status, 201, JSON.stringify(body));
  credential = body.credential;
  const { index, checkpoint } = parseProofText(body.receipt);
  const [, size, root] = checkpoint.split('\n');
  place = {
    receiptIndex: index,
    checkpoint: { size: Number(size), root: Buffer.from(root!, 'base64').toString('base64url') },
  };
});

/** The device states something, signed with its key. */
async function tell(said: object) {
  const device = broker.contoso.devices[0]!;
  const statement = await new SignJWT({ at: new Date().toISOString(), ...said })
    .setProtectedHeader({ alg: 'ES256', typ: 'latchkey-event+jwt' })
    .setIssuer(device.id)
    .setAudience(broker.config.publicUrl)
    .setJti(newId('event', Date.now()))
    .setIssuedAt()
    .sign(device.privateKey);
  return device.call('POST', '/v1/agent/events', { events: [statement] });
}

/** The device states that a session was started with the credential, and whatever the test has changed. */
async function state(changes: object = {}) {
  const { sub, jti, grant, scope } = decodeJwt(credential);
  const session = newId('session', Date.now());
  const { status, text } = await tell({
    type: 'session.started',
    session,
    grant,
    person: sub,
    credential: createHash('sha256').update(credential).digest('base64url'),
    credentialId: jti,
    scopes: String(scope).split(' '),
    ...place,
    ...changes,
  });
  const { rows } = await broker.sql.query<{ kind: string }>('SELECT kind FROM alarms WHERE subject = $1', [session]);
  return { status, text, alarms: rows.map(({ kind }) => kind).sort() };
}

test('a session with the receipt that the broker gave is no alarm', async () => {
  const { status, text, alarms } = await state();
  assert.ok(status < 300, text);
  assert.deepEqual(alarms, []);
  await broker.checkLedger();
});

const lies: readonly [what: string, changes: () => object, alarms: readonly string[]][] = [
  ['names the leaf of something else', () => ({ receiptIndex: place.receiptIndex - 1 }), ['unknown-leaf']],
  [
    'names a leaf that the ledger does not have yet',
    () => ({ receiptIndex: 1_000_000, checkpoint: { ...place.checkpoint, size: 2_000_000 } }),
    ['unknown-leaf'],
  ],
  [
    'names a leaf outside its own checkpoint',
    () => ({ checkpoint: { ...place.checkpoint, size: place.receiptIndex } }),
    ['unknown-leaf'],
  ],
  [
    'names a tree larger than any that was signed',
    () => ({ checkpoint: { ...place.checkpoint, size: Number.MAX_SAFE_INTEGER } }),
    ['unknown-leaf'],
  ],
  [
    'is of a credential that nobody issued',
    () => ({ credential: Buffer.alloc(32).toString('base64url') }),
    ['unknown-credential', 'unknown-leaf'],
  ],
];
for (const [what, changes, expected] of lies) {
  test(`a session that ${what} is an alarm`, async () => {
    const { status, text, alarms } = await state(changes());
    assert.ok(status < 300, text);
    assert.deepEqual(alarms, expected);
    await broker.checkLedger();
  });
}

test('the end and the refusal of a session on a grant that was never given are one alarm, on a given one none', async () => {
  const alarmed = async (grant: string): Promise<string[]> =>
    (await broker.sql.query<{ kind: string }>('SELECT kind FROM alarms WHERE subject = $1', [grant])).rows.map(
      ({ kind }) => kind,
    );
  const { sub: person, grant } = decodeJwt(credential);
  for (const [on, expected] of [
    [newId('grant', Date.now()), ['unknown-grant']],
    [String(grant), []],
  ] as const) {
    const ended = {
      type: 'session.ended',
      session: newId('session', Date.now()),
      grant: on,
      cause: 'closed',
      lagMs: 0,
    };
    const refused = { type: 'session.refused', code: 'grant-not-live', grant: on, person };
    for (const said of [ended, refused, { ...ended, session: newId('session', Date.now()) }]) {
      const { status, text } = await tell(said);
      assert.ok(status < 300, text);
    }
    assert.deepEqual(await alarmed(on), expected);
  }
  await broker.checkLedger();
});

test('a session that does not say where its credential is in the ledger is no statement', async () => {
  for (const changes of [
    { receiptIndex: undefined },
    { receiptIndex: -1 },
    { receiptIndex: 0.5 },
    { checkpoint: undefined },
    { checkpoint: { size: 1 } },
    { checkpoint: { ...place.checkpoint, note: 'x' } },
    { checkpoint: { ...place.checkpoint, root: 'short' } },
  ]) {
    assert.equal((await state(changes)).status, 400, JSON.stringify(changes));
  }
});
