import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identityProviderMistakes, identityProvidersMistakes } from '../../../src/http/identity/mistakes.ts';
import type { IdentityProviderConfig } from '../../../src/http/identity/types.ts';

const sound: IdentityProviderConfig = {
  issuer: 'https://login.example/tenant/v2.0',
  audience: 'latchkey',
  claims: { subject: 'oid', name: 'name' },
  allowedTeams: ['room-ops'],
  allowedEmployers: ['provider', 'subcontractor'],
  teamNames: { '8f1e': 'room-ops' },
  maxTokenAge: 3_600,
};

test('a sound provider has no mistakes, on the internet or on this machine', () => {
  for (const issuer of [sound.issuer, 'http://127.0.0.1:7402', 'http://localhost:8080/realms/x', 'http://[::1]:1']) {
    assert.deepEqual(identityProviderMistakes({ ...sound, issuer }, ''), []);
  }
});

const cases: [string, Partial<IdentityProviderConfig>, string][] = [
  ['plain http elsewhere', { issuer: 'http://login.example' }, '/p/issuer'],
  ['plain http on a private network', { issuer: 'http://10.0.0.1' }, '/p/issuer'],
  ['another scheme', { issuer: 'file:///etc' }, '/p/issuer'],
  ['no address', { issuer: 'login.example' }, '/p/issuer'],
  ['a query', { issuer: 'https://login.example/?a' }, '/p/issuer'],
  ['a fragment', { issuer: 'https://login.example/#a' }, '/p/issuer'],
  ['a password', { issuer: 'https://a:b@login.example/' }, '/p/issuer'],
  ['keys over plain http', { jwksUri: 'http://keys.example/jwks' }, '/p/jwksUri'],
  ['an empty audience', { audience: '' }, '/p/audience'],
  ['an e-mail address as subject', { claims: { subject: 'email' } }, '/p/claims/subject'],
  ['a user principal name as subject', { claims: { subject: 'UPN' } }, '/p/claims/subject'],
  ['a username as subject', { claims: { subject: 'preferred_username' } }, '/p/claims/subject'],
  ['an empty claim name', { claims: { subject: 'oid', teams: '' } }, '/p/claims/teams'],
  ['an employer nobody has', { allowedEmployers: ['provider', 'vendor'] }, '/p/allowedEmployers/1'],
  ['a team that is not allowed', { teamNames: { 'a/b~c': 'operators' } }, '/p/teamNames/a~1b~0c'],
  ['no age at all', { maxTokenAge: 0 }, '/p/maxTokenAge'],
];
for (const [what, change, pointer] of cases) {
  test(`${what} is a mistake at \`${pointer}\``, () => {
    const mistakes = identityProviderMistakes({ ...sound, ...change }, '/p');
    assert.deepEqual(
      mistakes.map((mistake) => mistake.pointer),
      [pointer],
    );
    assert.ok(mistakes[0]!.message.length > 0);
  });
}

test('all mistakes of all providers are reported together, and a second entry for one issuer is one', () => {
  const providers = [sound, { ...sound, audience: '', maxTokenAge: -1 }, { ...sound, issuer: 'https://other.example' }];
  assert.deepEqual(
    identityProvidersMistakes(providers, '/identityProviders').map(({ pointer }) => pointer),
    ['/identityProviders/1/audience', '/identityProviders/1/maxTokenAge', '/identityProviders/1/issuer'],
  );
});
