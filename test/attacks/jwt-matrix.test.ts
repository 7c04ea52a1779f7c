import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { compactDecrypt, decodeJwt, decodeProtectedHeader, exportJWK, SignJWT, type JWK, type JWTPayload } from 'jose';
import {
  createBrokerKeys,
  createEventCheck,
  createLiveGrants,
  createVerifier,
  machineClocks,
  mark,
  Refusal,
  StatementError,
  type EventCheck,
  type LiveGrants,
  type Verifier,
} from '../../src/agent/index.ts';
import { encryptionKeyFrom } from '../../src/agent/encryption-key.ts';
import { openLocalSecret } from '../../src/agent/local-secret.ts';
import { newId } from '../../src/domain/ids.ts';
import { sign } from '../broker/support/door.ts';
import { mint } from '../broker/support/scenario.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';
import { newTestDevice, type TestDevice } from '../support/device.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { claimsOf } from '../support/issuer.ts';
import {
  fetchSecret,
  newOneTimeKey,
  newSetDevice,
  secretProof,
  type OneTimeKey,
  type PasswordDevice,
} from '../support/passwords.ts';

/** Every kind of JWT between people, broker and devices, as its honest maker makes it, shown to everyone who takes one. */
let broker: TestBroker;
let device: TestDevice;
let engineer: EngineerKey;
let grant: { readonly id: string; readonly devices: readonly string[] };
let room: PasswordDevice;
/** A grant on which its password may be released, to this key. */
let secret: { readonly id: string; readonly devices: readonly string[] };
let oneTime: OneTimeKey;
let checkEvent: EventCheck;
let liveGrants: LiveGrants;
let verifier: Verifier;
/** A code that no refused attempt may use up. */
let code: string;
const door = 'https://127.0.0.1:9443/sessions';

before(async () => {
  broker = await newTestBroker();
  device = broker.contoso.devices[0]!;
  engineer = await newEngineerKey();
  grant = await broker.grant('ada', 'diagnose');
  code = await newCode();
  room = await newSetDevice(broker);
  secret = await broker.grant('ada', 'release-secret', { devices: [room.device.id] });
  oneTime = await newOneTimeKey();
  const { publicUrl: issuer } = broker.config;
  const { ledgerKey } = (await (await newDevice()).enrol(await newCode())).body as { ledgerKey: string };
  checkEvent = createEventCheck({ ledgerKey });
  const keys = createBrokerKeys({ jwksUri: `${issuer}/.well-known/jwks.json` });
  const about = { issuer, device: device.id, keys };
  liveGrants = createLiveGrants({ ...about, seen: null, remember: async () => undefined });
  await liveGrants.accept(await made['a list of live grants'](), mark(machineClocks));
  verifier = createVerifier({ ...about, tenant: broker.contoso.id, liveGrants, ledgerKey });
  // A proof names its second; one of the second in which the agent began could be older than it.
  await sleep(1_000);
});
after(async () => {
  try {
    await broker.checkLedger();
  } finally {
    await broker.stop();
  }
});

const newDevice = () => newTestDevice(broker.config.publicUrl, broker.brokers[0]!.url);
async function newCode(): Promise<string> {
  const { body } = await broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id });
  return body.code;
}
async function minted(): Promise<{ readonly credential: string; readonly receipt: string }> {
  return (await mint(broker, 'ada', grant, { key: engineer })).body;
}
const mintUrl = () => `${broker.config.publicUrl}/v1/grants/${grant.id}/credentials`;
const refusal = () => {
  const [to, by] = [newId('grant', Date.now()), newId('person', Date.now())];
  return sign(broker, device, { type: 'session.refused', code: 'scope-missing', grant: to, person: by });
};

const newPassword = async (): Promise<string> => String((await room.ask()).body['secret']);

const made = {
  'a person’s access token': () => broker.issuer.tokenFor(people.ada),
  'a person’s ID token': () => {
    const { client_id: _, ...claims } = claimsOf(people.ada, broker.issuer.issuer, Date.now());
    return broker.issuer.sign({ ...claims, nonce: 'n', auth_time: 1 }, { typ: 'JWT' });
  },
  'a credential': async () => (await minted()).credential,
  'an agent’s token': async () => (await device.signIn()).body['access_token']!,
  'a list of live grants': async () => (await device.call('GET', '/v1/agent/live-grants')).text,
  'an event of a device': () => refusal(),
  'an enrolment proof': async () => (await (await newDevice()).enrolment(code))['proof'] as string,
  'a client assertion': () => device.assertion(),
  'a request for a password': () => secretProof(broker, secret, { key: engineer, oneTime }),
  'a password’s statement': async () => {
    const { plaintext } = await compactDecrypt(await newPassword(), room.encryption.privateKey);
    return Buffer.from(plaintext).toString('utf8');
  },
  'a password for a device': () => newPassword(),
  'a password for its holder': async () => {
    const { body } = await fetchSecret(broker, 'ada', secret, { key: engineer, oneTime });
    return body.secret as string;
  },
  'a proof for the broker': () => engineer.proof('POST', mintUrl()),
  'a proof for the door': async () => engineer.proof('POST', door, { token: (await minted()).credential }),
} satisfies Record<string, () => Promise<string>>;
type Kind = keyof typeof made;

/** Answers null for a token that is taken, and otherwise how it is refused. */
type Taker = (token: string) => Promise<string | null>;
const statusOf = ({ status }: { readonly status: number }) => (status < 300 ? null : String(status));
const post = (path: string, body: object) => broker.call(null, 'POST', path, body);
const withBearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

const takers: readonly [who: string, takes: Kind | null, refuses: RegExp, take: Taker][] = [
  [
    'the API for people',
    'a person’s access token',
    /^401$/,
    async (token) => statusOf(await broker.call(null, 'GET', '/v1/me', undefined, withBearer(token))),
  ],
  [
    'the API for agents',
    'an agent’s token',
    /^401$/,
    async (token) => statusOf(await broker.call(null, 'GET', '/v1/agent/live-grants', undefined, withBearer(token))),
  ],
  ['the token endpoint', 'a client assertion', /^40[01]$/, async (token) => statusOf(await device.signIn(token))],
  [
    'the desk for events',
    'an event of a device',
    /^400$/,
    async (token) => statusOf(await device.call('POST', '/v1/agent/events', { events: [token] })),
  ],
  [
    'the mint',
    'a proof for the broker',
    /^400$/,
    async (token) => statusOf(await mint(broker, 'ada', grant, { key: engineer, proof: token })),
  ],
  [
    'the desk for passwords',
    'a request for a password',
    /^400$/,
    async (token) => statusOf(await fetchSecret(broker, 'ada', secret, { key: engineer, oneTime, proof: token })),
  ],
  ['the agent’s view of its password', 'a password for a device', /^CompactJweError$/, takenAsPassword],
  ['the agent’s view of live grants', 'a list of live grants', /^StatementError$/, takenAsList],
  ['the door, as a credential', 'a credential', /^(?:bad-signature|wrong-type)$/, takenAtDoor],
  ['the door, as a proof', null, /^bad-proof$/, async (token) => atDoor(await minted(), token)],
];

async function takenAsList(token: string): Promise<string | null> {
  return liveGrants.accept(token, mark(machineClocks)).then(
    () => null,
    (error: unknown) => (error instanceof StatementError ? error.name : String(error)),
  );
}

async function takenAsPassword(token: string): Promise<string | null> {
  const encryptionKey = await encryptionKeyFrom(await exportJWK(room.encryption.privateKey));
  const { publicUrl: issuer } = broker.config;
  const keys = createBrokerKeys({ jwksUri: `${issuer}/.well-known/jwks.json` });
  const trust = { issuer, device: room.device.id, keys, encryptionKey, checkEvent, now: Date.now };
  return openLocalSecret(token, trust).then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.name : 'unknown'),
  );
}

/** With a good proof over it, and the receipt that a credential would have. */
async function takenAtDoor(token: string): Promise<string | null> {
  const { receipt } = await minted();
  return atDoor({ credential: token, receipt }, await engineer.proof('POST', door, { token }));
}

async function atDoor(shown: { credential: string; receipt: string }, proof: string): Promise<string | null> {
  const receipt = [Buffer.from(shown.receipt).toString('base64')];
  const call = { method: 'POST', url: door, authorization: [`DPoP ${shown.credential}`], proof: [proof], scope: null };
  return verifier.verifyCredential({ ...call, receipt }).then(
    () => null,
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );
}

/** Whose key a token is signed with, as far as anyone publishes it: the strongest thing to enrol it under. */
async function signerOf(token: string): Promise<JWK> {
  // What is encrypted is signed by nobody.
  const { kid, jwk } = decodeProtectedHeader(token);
  const { body } = await broker.call(null, 'GET', '/.well-known/jwks.json');
  const published = (body.keys as JWK[]).find((key) => key.kid === kid);
  const { kty, crv, x, y } = published ?? jwk ?? (kid === undefined ? device.publicJwk : broker.issuer.publicJwk);
  return { kty, crv, x, y } as JWK;
}

describe('a JWT is taken by whom it is for, and by nobody else', () => {
  for (const [who, takes, refuses, take] of takers) {
    it(who, async () => {
      for (const [kind, make] of Object.entries(made)) {
        // What a door takes as a credential comes with a receipt of its own, and is shown below.
        if (kind === takes && kind === 'a credential') continue;
        const how = await take(await make());
        if (kind === takes) assert.equal(how, null, kind);
        else assert.match(String(how), refuses, kind);
      }
    });
  }

  it('the door takes a credential with its receipt and a proof for the door', async () => {
    const shown = await minted();
    assert.equal(await atDoor(shown, await engineer.proof('POST', door, { token: shown.credential })), null);
  });

  it('the enrolment desk, which uses up no code for what it refuses', async () => {
    for (const [kind, make] of Object.entries(made)) {
      if (kind === 'an enrolment proof') continue;
      const token = await make();
      const { status, body } = await post('/v1/devices', {
        code,
        publicKey: await signerOf(token),
        proof: token,
        facts: {},
      });
      assert.deepEqual([status, body.errors?.[0]?.pointer], [400, '/proof'], kind);
    }
    assert.equal((await (await newDevice()).enrol(code)).status, 201);
  });
});

describe('of what a device signs with its one key, the type alone tells one from another', () => {
  const types = [
    'latchkey-event+jwt',
    'latchkey-enrolment+jwt',
    'client-authentication+jwt',
    'dpop+jwt',
    'at+jwt',
    'JWT',
    'live-grants+jwt',
    'latchkey-agent+jwt',
    'latchkey-secret-request+jwt',
    'local-secret+jwt',
    'secevent+jwt',
    undefined,
  ];
  const signAgain = (claims: JWTPayload, typ: string | undefined, by = device): Promise<string> =>
    new SignJWT(claims).setProtectedHeader({ alg: 'ES256', ...(typ !== undefined && { typ }) }).sign(by.privateKey);

  it('an event is one under its own type', async () => {
    for (const typ of types) {
      const token = await signAgain(decodeJwt(await refusal()), typ);
      const { status } = await device.call('POST', '/v1/agent/events', { events: [token] });
      assert.equal(status, typ === 'latchkey-event+jwt' ? 204 : 400, typ);
    }
  });

  it('an assertion is one under its own type, or under none', async () => {
    for (const typ of types) {
      const { status } = await device.signIn(await signAgain(decodeJwt(await device.assertion()), typ));
      const isOne = typ === undefined || typ === 'client-authentication+jwt';
      assert.equal(status === 200, isOne, typ);
    }
  });

  it('an enrolment proof is one under its own type', async () => {
    for (const typ of types.toReversed()) {
      const [fresh, freshCode] = [await newDevice(), await newCode()];
      const asked = await fresh.enrolment(freshCode);
      const proof = await signAgain(decodeJwt(asked['proof'] as string), typ, fresh);
      const { status } = await post('/v1/devices', { ...asked, proof });
      assert.equal(status, typ === 'latchkey-enrolment+jwt' ? 201 : 400, typ);
    }
  });
});
