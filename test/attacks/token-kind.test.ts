import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createIdentityVerifier, type IdentityVerifier } from '../../src/http/identity/identity-verifier.ts';
import { claimsOf, startTestIssuer, type TestIssuer } from '../support/issuer.ts';
import { refusedToken } from '../support/refused-token.ts';

let issuer: TestIssuer;
let verifier: IdentityVerifier;
before(async () => {
  issuer = await startTestIssuer();
  verifier = createIdentityVerifier([issuer.config], { now: Date.now });
});
after(() => issuer.stop());

const ada = { sub: 'ada-1' };
/** A token of type `JWT` that says nothing of who asked for it; `more` makes it what the test is about. */
async function jwt(more: object): Promise<string> {
  const { client_id: _, ...claims } = claimsOf(ada, issuer.issuer, Date.now());
  return issuer.sign({ ...claims, ...more }, { typ: 'JWT' });
}
const refused = async (token: Promise<string>, reason: RegExp) => refusedToken(verifier, await token, reason);
const accepted = async (token: Promise<string>) => assert.equal((await verifier.verify(await token)).subject, 'ada-1');

test('access tokens of people as the usual providers write them are accepted', async () => {
  await accepted(issuer.tokenFor(ada));
  await accepted(issuer.sign(claimsOf(ada, issuer.issuer, Date.now()), { typ: 'application/at+jwt' }));
  await accepted(jwt({ azp: 'app', scp: 'access_as_user', idtyp: 'user', ver: '2.0', tid: 't' }));
  await accepted(jwt({ azp: 'app', scope: 'openid profile', typ: 'Bearer', sid: 's' }));
  await accepted(jwt({ cid: 'app', scp: ['latchkey'] }));
  await accepted(jwt({ client_id: 'app', token_use: 'access' }));
});

test('every other kind of JWT is refused for its type alone, those of Latchkey too', async () => {
  for (const typ of [
    'latchkey-agent+jwt',
    'live-grants+jwt',
    'latchkey-enrolment+jwt',
    'latchkey-event+jwt',
    'client-authentication+jwt',
    'dpop+jwt',
    'secevent+jwt',
    'logout+jwt',
    'statuslist+jwt',
    'token-introspection+jwt',
    'oauth-authz-req+jwt',
    'AT+JWT',
    'jwt',
    'JWS',
    'at+jwt ',
  ]) {
    await refused(issuer.sign(claimsOf(ada, issuer.issuer, Date.now()), { typ }), /`typ`/);
  }
  const [, payload] = (await issuer.tokenFor(ada)).split('.');
  const untyped = `${Buffer.from(JSON.stringify({ alg: 'ES256', kid: issuer.kid })).toString('base64url')}.${payload}`;
  await refused(
    issuer.signBytes(Buffer.from(untyped)).then((signature) => `${untyped}.${signature}`),
    /`typ`/,
  );
});

test('ID tokens are refused, also those of an application that is the audience', async () => {
  await refused(jwt({}), /no delegated access/);
  await refused(jwt({ azp: 'latchkey', auth_time: 1, acr: '1', sid: 's' }), /no delegated access/);
  await refused(jwt({ azp: 'app' }), /no delegated access/);
  for (const empty of ['', ' ', [], null, 7]) await refused(jwt({ scope: empty }), /no delegated access/);
  for (const claim of ['nonce', 'at_hash', 'c_hash', 's_hash']) {
    await refused(jwt({ scope: 'openid', [claim]: 'x' }), new RegExp(claim));
    await refused(issuer.tokenFor(ada, { [claim]: 'x' }), new RegExp(claim));
  }
  await refused(jwt({ scope: 'openid', typ: 'ID' }), /`typ`/);
  await refused(jwt({ client_id: 'app', token_use: 'id' }), /`token_use`/);
});

test('refresh, logout and event tokens are refused', async () => {
  await refused(jwt({ scope: 'openid', typ: 'Refresh' }), /`typ`/);
  await refused(
    jwt({ client_id: 'app', events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }),
    /events/,
  );
});

test('tokens of applications are refused, however the provider writes them', async () => {
  await refused(issuer.tokenFor(ada, { sub: 'robot', client_id: 'robot' }), /application/);
  await refused(issuer.tokenFor(ada, { client_id: 'ada-1' }), /application/);
  await refused(jwt({ sub: 'robot', azp: 'robot', scope: 'all' }), /application/);
  await refused(jwt({ sub: 'robot@clients', azp: 'robot', scope: 'all' }), /application/);
  await refused(jwt({ azp: 'robot', scope: 'all', gty: 'client-credentials' }), /application/);
  await refused(jwt({ azp: 'robot', scope: 'all', gty: ['client_credentials'] }), /application/);
  await refused(jwt({ azp: 'robot', scp: 'all', idtyp: 'app' }), /`idtyp`/);
  await refused(jwt({ azp: 'robot', roles: ['Devices.Manage'] }), /application/);
  await refused(jwt({ client_id: 'robot', roles: ['Devices.Manage'] }), /application/);
  await refused(jwt({ azp: 'Robot', scope: 'all', preferred_username: 'service-account-robot' }), /service account/);
});

test('key-bound tokens sent as Bearer are refused, whatever the binding', async () => {
  for (const cnf of [{ jkt: 'x' }, { 'x5t#S256': 'x' }, { jwk: {} }, {}, null]) {
    await refused(issuer.tokenFor(ada, { cnf }), /bound to a key/);
  }
});
