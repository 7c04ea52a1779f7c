import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { ConfigError, parseConfig, readConfig } from '../src/config.ts';

type Json = Record<string, unknown>;

const provider = { issuer: 'https://login.example/tenant/v2.0', audience: 'latchkey', claims: { subject: 'oid' } };
const sound = {
  publicUrl: 'https://latchkey.example',
  listen: { host: '127.0.0.1', port: 7400 },
  region: 'EU',
  database: { url: 'postgres://latchkey_app@db.example/latchkey' },
  identityProviders: [provider],
  policies: 'policies',
  secrets: { directory: '.latchkey/secrets' },
  ledger: { origin: 'latchkey.example/eu' },
};

/** The places of all mistakes that a configuration is refused for. */
function mistakesOf(value: unknown): string[] {
  try {
    parseConfig(value);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    for (const { pointer, message } of error.mistakes) {
      assert.ok(error.message.includes(`${pointer || '/'}: ${message}`));
      assert.doesNotMatch(message, /undefined|\[object/);
    }
    return error.mistakes.map(({ pointer }) => pointer).sort();
  }
  return [];
}

describe('a configuration', () => {
  test('as the contract shows it is taken, with its defaults', () => {
    const config = parseConfig(sound);
    assert.deepEqual(config.rateLimits.person, { perSecond: 50, burst: 200 });
    assert.deepEqual(config.timeouts, { headers: 15, body: 10 });
    assert.deepEqual(config.trustedProxies, []);
    assert.deepEqual(mistakesOf({ ...sound, database: { embedded: '.latchkey/postgres' } }), []);
    assert.deepEqual(mistakesOf({ ...sound, publicUrl: 'http://127.0.0.1:7400' }), []);
    assert.deepEqual(mistakesOf({ ...sound, publicUrl: 'http://[::1]:7400' }), []);
  });

  test('is refused for all its mistakes together, of form and of meaning', () => {
    const wrong = {
      ...sound,
      publicUrl: 'http://latchkey.example',
      listen: { host: '', port: 70_000 },
      region: 'MARS',
      extra: 1,
      'a/b~c': 2,
      database: { url: 'mysql://x' },
      identityProviders: [{ ...provider, issuer: 'http://login.example', claims: { subject: 'email' } }],
      trustedProxies: ['10.0.0.0/8', 'everyone'],
      timeouts: { body: 'PT0S' },
      policies: undefined,
    };
    assert.deepEqual(mistakesOf(JSON.parse(JSON.stringify(wrong))), [
      '/a~1b~0c',
      '/database/url',
      '/extra',
      '/identityProviders/0/claims/subject',
      '/identityProviders/0/issuer',
      '/listen/host',
      '/listen/port',
      '/policies',
      '/publicUrl',
      '/region',
      '/timeouts/body',
      '/trustedProxies/1',
    ]);
  });

  test('has no default for what secures it', () => {
    for (const name of Object.keys(sound)) {
      const { [name]: _, ...rest } = sound as Json;
      assert.deepEqual(mistakesOf(rest), [`/${name}`]);
    }
    for (const name of ['issuer', 'audience', 'claims']) {
      const { [name]: _, ...rest } = provider as Json;
      assert.deepEqual(mistakesOf({ ...sound, identityProviders: [rest] }), [`/identityProviders/0/${name}`]);
    }
    assert.deepEqual(mistakesOf({ ...sound, identityProviders: [{ ...provider, claims: {} }] }), [
      '/identityProviders/0/claims/subject',
    ]);
    assert.deepEqual(mistakesOf({ ...sound, identityProviders: [] }), ['/identityProviders']);
    assert.deepEqual(mistakesOf({ ...sound, secrets: {} }), ['/secrets/directory']);
    assert.deepEqual(mistakesOf({ ...sound, ledger: {} }), ['/ledger/origin']);
    for (const name of ['issuer', 'audience']) {
      assert.ok(mistakesOf({ ...sound, identityProviders: [{ ...provider, [name]: '' }] }).length > 0, name);
    }
  });

  const wrong: readonly (readonly [name: string, more: Json, pointer: string])[] = [
    ['plain http for the world', { publicUrl: 'http://10.0.0.1' }, '/publicUrl'],
    ['plain http for a name that starts like loopback', { publicUrl: 'http://127.0.0.1.example' }, '/publicUrl'],
    ['plain http for a name that ends like loopback', { publicUrl: 'http://notlocalhost' }, '/publicUrl'],
    ['another scheme', { publicUrl: 'ftp://latchkey.example' }, '/publicUrl'],
    ['what is no URL', { publicUrl: 'latchkey.example' }, '/publicUrl'],
    ['a password in a URL', { publicUrl: 'https://a:b@latchkey.example' }, '/publicUrl'],
    ['a slash at the end', { publicUrl: 'https://latchkey.example/' }, '/publicUrl'],
    ['two kinds of database', { database: { embedded: 'x', url: 'postgres://x' } }, '/database/url'],
    ['no database', { database: {} }, '/database/url'],
    ['a pool of one', { database: { url: 'postgres://x', poolSize: 1 } }, '/database/poolSize'],
    ['a limit of nothing', { rateLimits: { person: { perSecond: 0, burst: 1 } } }, '/rateLimits/person/perSecond'],
    ['a limit half said', { rateLimits: { person: { perSecond: 1 } } }, '/rateLimits/person/burst'],
    ['a proxy that is everyone', { trustedProxies: ['0.0.0.0/0'] }, '/trustedProxies/0'],
    ['a proxy by name', { trustedProxies: ['proxy.example'] }, '/trustedProxies/0'],
    ['a network that is none', { trustedProxies: ['10.0.0.0/33'] }, '/trustedProxies/0'],
    ['a time-out of an hour', { timeouts: { headers: 'PT1H' } }, '/timeouts/headers'],
    ['an origin of two words', { ledger: { origin: 'a b' } }, '/ledger/origin'],
    ['a list', [] as unknown as Json, ''],
  ];
  for (const [name, more, pointer] of wrong) {
    test(`with ${name} is refused`, () => {
      const pointers = mistakesOf(Array.isArray(more) ? more : { ...sound, ...more });
      assert.deepEqual([...new Set(pointers)], [pointer]);
    });
  }

  test('takes no e-mail address or user principal name for a subject, in any spelling', () => {
    for (const subject of ['email', 'upn', 'preferred_username', 'Email', 'UPN', 'unique_name']) {
      const claims = { subject };
      assert.deepEqual(mistakesOf({ ...sound, identityProviders: [{ ...provider, claims }] }), [
        '/identityProviders/0/claims/subject',
      ]);
    }
  });

  test('names each provider once, and believes only what a provider can say', () => {
    assert.deepEqual(mistakesOf({ ...sound, identityProviders: [provider, provider] }), [
      '/identityProviders/1/issuer',
    ]);
    const strange = { ...provider, allowedEmployers: ['provider', 'god'], teamNames: { a1: 'operators' } };
    assert.deepEqual(mistakesOf({ ...sound, identityProviders: [strange] }), [
      '/identityProviders/0/allowedEmployers/1',
      '/identityProviders/0/teamNames/a1',
    ]);
  });

  test('that cannot be read, is no JSON or names a member twice says so', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'latchkey-config-'));
    const file = join(directory, 'config.json');
    await assert.rejects(readConfig(file), /cannot be read \(ENOENT\)/);
    for (const text of ['{', '', '{"region":"EU","region":"US"}']) {
      await writeFile(file, text);
      await assert.rejects(readConfig(file), /is not JSON, or names a member twice/);
    }
    await rm(directory, { recursive: true });
  });
});

describe('a Key Vault', () => {
  const withVault = (keyVault: unknown): Json => ({ ...sound, secrets: { keyVault } });
  test('is named by its address in one of Azure’s clouds, and nothing else', () => {
    for (const address of ['https://latchkey-eu.vault.azure.net', 'https://kv1.vault.azure.cn']) {
      assert.deepEqual(mistakesOf(withVault(address)), [], address);
    }
    for (const address of [
      'latchkey-eu',
      'http://latchkey-eu.vault.azure.net',
      'https://latchkey-eu.vault.azure.net/',
      'https://latchkey-eu.vault.azure.net/secrets',
      'https://latchkey-eu.vault.azure.net:8443',
      'https://user:word@latchkey-eu.vault.azure.net',
      'https://latchkey-eu.vault.azure.net?x=1',
      'https://latchkey-eu.vault.azure.net.example',
      'https://vault.azure.net',
      'https://-x.vault.azure.net',
      'https://example.org',
      'http://192.0.2.1',
      'http://127.0.0.1.example',
      'http://127.0.0.1:8200',
      'http://localhost:8200',
      'ftp://127.0.0.1',
      7,
      '',
    ]) {
      assert.deepEqual(mistakesOf(withVault(address)), ['/secrets/keyVault'], String(address));
    }
    assert.deepEqual(mistakesOf({ ...sound, secrets: { keyVault: 'https://kv1.vault.azure.net', directory: 'x' } }), [
      '/secrets/directory',
    ]);
    assert.deepEqual(mistakesOf({ ...sound, secrets: { keyVault: 'https://kv1.vault.azure.net', token: 'x' } }), [
      '/secrets/token',
    ]);
  });

  test('on loopback takes the token of the environment, which is there no more and in nothing that is shown', () => {
    // A process has one token, and remembers it: what is said without one was said above.
    process.env.LATCHKEY_KEY_VAULT_TOKEN = 'canary-of-the-token';
    const { secrets } = parseConfig(withVault('http://127.0.0.1:8200'));
    assert.equal(process.env.LATCHKEY_KEY_VAULT_TOKEN, undefined);
    assert.ok('keyVault' in secrets);
    assert.equal(secrets.token?.(), 'canary-of-the-token');
    for (const shown of [inspect(secrets, { depth: 9, showHidden: true }), JSON.stringify(secrets)]) {
      assert.doesNotMatch(shown, /canary/);
    }
    for (const address of ['http://localhost:8200', 'http://[::1]:8200', 'https://127.0.0.1:8200']) {
      assert.deepEqual(mistakesOf(withVault(address)), [], address);
    }
  });

  test('in Azure is shown no token that was given by hand', () => {
    process.env.LATCHKEY_KEY_VAULT_TOKEN = 'canary-of-the-token';
    assert.deepEqual(mistakesOf(withVault('https://latchkey-eu.vault.azure.net')), ['/secrets/keyVault']);
  });
});
