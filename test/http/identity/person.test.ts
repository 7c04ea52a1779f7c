import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { foldEmail, readPerson } from '../../../src/http/identity/person.ts';
import type { IdentityProviderConfig } from '../../../src/http/identity/types.ts';

const provider: IdentityProviderConfig = {
  issuer: 'https://login.example',
  audience: 'latchkey',
  claims: {
    subject: 'oid',
    name: 'name',
    email: 'preferred_username',
    teams: 'groups',
    region: 'region',
    employer: 'employer',
    trainingValidUntil: 'training_valid_until',
    human: 'https://x.example/personnel.number',
  },
  allowedTeams: ['room-ops', 'room-leads'],
  allowedEmployers: ['provider'],
};
const read = (claims: object, more: Partial<IdentityProviderConfig> = {}) =>
  readPerson(claims as Record<string, unknown>, { ...provider, ...more });

test('every mapped claim is read', () => {
  assert.deepEqual(
    read({
      name: ' Ada  Okafor ',
      preferred_username: ' Ada@Provider.Example ',
      groups: ['room-ops', 'other', 'room-ops'],
      region: 'EU',
      employer: 'provider',
      training_valid_until: '2027-01-01T00:00:00+02:00',
      'https://x.example/personnel.number': '4711',
    }),
    {
      name: 'Ada Okafor',
      email: 'Ada@Provider.Example',
      emailFolded: 'ada@provider.example',
      human: '4711',
      teams: ['room-ops'],
      employer: 'provider',
      region: 'EU',
      trainingValidUntil: '2026-12-31T22:00:00.000Z',
    },
  );
});

const nobody = {
  name: null,
  email: null,
  emailFolded: null,
  human: null,
  teams: [],
  employer: null,
  region: null,
  trainingValidUntil: null,
};

test('absent claims and unmapped ones say nothing', () => {
  assert.deepEqual(read({}), nobody);
  const said = { name: 'Ada', groups: ['room-ops'], employer: 'provider', undefined: 'x' };
  assert.deepEqual(read(said, { claims: { subject: 'oid' } }), nobody);
});

test('claims of another shape say nothing, whatever they are', () => {
  const wrong = fc.oneof(fc.boolean(), fc.constant(null), fc.object(), fc.array(fc.integer(), { minLength: 1 }));
  fc.assert(
    fc.property(wrong, (value) => {
      const claims = Object.fromEntries(Object.values(provider.claims).map((name) => [name, value]));
      assert.deepEqual(read(claims), nobody);
    }),
  );
});

test('nothing is believed that the provider is not allowed to say', () => {
  const said = { groups: ['room-leads', 'operators', 'customer-approvers:contoso'], employer: 'customer' };
  assert.deepEqual([read(said).teams, read(said).employer], [['room-leads'], null]);
  const { allowedTeams: _, allowedEmployers: __, ...nothingAllowed } = provider;
  const person = readPerson({ groups: ['room-ops'], employer: 'provider' }, nothingAllowed);
  assert.deepEqual([person.teams, person.employer], [[], null]);
});

test('team names stand for ids, and where they are given nothing else names a team', () => {
  const teamNames = { '8f1e': 'room-ops', '77aa': 'operators' };
  const groups = ['8f1e', '77aa', 'room-leads', 'constructor', '__proto__'];
  assert.deepEqual(read({ groups }, { teamNames }).teams, ['room-ops']);
});

test('a team alone may be a text, a list with anything but texts or with more than 500 says nothing', () => {
  assert.deepEqual(read({ groups: 'room-ops' }).teams, ['room-ops']);
  assert.deepEqual(read({ groups: 'room-ops room-leads' }).teams, []);
  assert.deepEqual(read({ groups: ['room-ops', 7] }).teams, []);
  assert.deepEqual(read({ groups: ['room-ops', 'x'.repeat(513)] }).teams, []);
  const many = Array.from({ length: 500 }, (_, i) => (i ? `g${i}` : 'room-ops'));
  assert.deepEqual(read({ groups: many }).teams, ['room-ops']);
  assert.deepEqual(read({ groups: [...many, 'one more'] }).teams, []);
});

test('groups that the provider says are elsewhere satisfy no rule, even if some are there', () => {
  const elsewhere = { _claim_names: { groups: 'src1' } };
  assert.deepEqual(read({ ...elsewhere, _claim_sources: { src1: { endpoint: 'https://x.example' } } }).teams, []);
  assert.deepEqual(read({ ...elsewhere, groups: ['room-ops'] }).teams, []);
  assert.deepEqual(read({ _claim_names: { other: 'src1' }, groups: ['room-ops'] }).teams, ['room-ops']);
});

test('a name loses what cannot be seen and what turns text around; one too long is no name', () => {
  assert.equal(read({ name: 'Ada\u202e \u0007Oka\u200bfor\r\n' }).name, 'Ada Okafor');
  assert.equal(read({ name: '\u202e\u0000' }).name, null);
  assert.equal(read({ name: 'Chloé Marchetti 陳' }).name, 'Chloé Marchetti 陳');
  assert.equal(read({ name: 'x'.repeat(512) }).name?.length, 512);
  assert.equal(read({ name: 'x'.repeat(513) }).name, null);
});

test('spellings of one e-mail address fold to one form, which folds to itself', () => {
  const spellings = ['Straße@X.example', 'STRASSE@x.example', ' strasse@x.EXAMPLE ', 'ｓtrasse@x.example'];
  assert.equal(new Set(spellings.map(foldEmail)).size, 1);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(foldEmail(foldEmail(text)), foldEmail(text));
    }),
  );
});
