import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { PasswordNotSet, startAgent, type Agent } from '../../src/agent/index.ts';
import { Password } from '../../src/credentials/password.ts';
import { refused } from '../broker/support/scenario.ts';
import { eventually } from '../broker/support/scenario.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { everythingKept } from '../support/everything-kept.ts';
import { startKeyVault, type TestKeyVault } from '../support/key-vault.ts';
import { ServiceError } from '../support/key-vault/errors.ts';
import { fetchSecret, newOneTimeKey, openReleased } from '../support/passwords.ts';
import { newEngineerKey } from '../support/engineer.ts';

/** Passwords go from vault to device and holder, through everything that can fail on the way, and are found nowhere else. */
let vault: TestKeyVault;
let broker: TestBroker;
let agent: Agent;
let directory: string;
const passwords = new Set<string>();
const seen: string[] = [];
/** What becomes of a password that the agent is to set. */
let setting: (password: string) => Promise<void> = async () => undefined;

const note = (what: unknown): void =>
  void seen.push(inspect(what, { depth: 20, showHidden: true }), JSON.stringify(what));

before(async () => {
  vault = await startKeyVault({ token: 'vault-token' });
  process.env['LATCHKEY_KEY_VAULT_TOKEN'] = vault.token;
  broker = await newTestBroker({
    quiet: true,
    brokers: 2,
    config: { secrets: { keyVault: vault.url } },
  });
  directory = await mkdtemp(join(tmpdir(), 'latchkey-canary-'));
  const { body } = await broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id });
  agent = await startAgent({
    brokerUrl: broker.config.publicUrl,
    stateDirectory: directory,
    enrolmentCode: body.code,
    facts: () => ({ hostname: 'canary' }),
    inUse: () => false,
    actions: new Map(),
    localAdministrator: {
      setPassword(password) {
        passwords.add(password);
        return setting(password);
      },
    },
    log: (message, details) => note({ message, details }),
  });
  await confirmed(1);
});
after(async () => {
  await agent.stop();
  await broker.stop();
  await vault.stop();
  await rm(directory, { recursive: true });
});

const confirmed = (generation: number) =>
  eventually(async () => {
    const { rows } = await broker.sql.query('SELECT confirmed FROM device_secrets WHERE device = $1', [agent.device]);
    return rows[0]?.confirmed >= generation;
  }, 60_000);
const granted = () => broker.grant('ada', 'release-secret', { devices: [agent.device] });
const release = (grant: { readonly id: string }) => broker.call('ada', 'POST', `/v1/grants/${grant.id}/release`);
const releases = async () => (await broker.events('secret.released')).length;

describe('a release', () => {
  it('while the vault fails is 503 and no fact, and is made good when it is back', async () => {
    const [grant, key, oneTime] = [await granted(), await newEngineerKey(), await newOneTimeKey()];
    const before = await releases();
    vault.fault = (call) =>
      call.path.includes('local-admin')
        ? { error: new ServiceError(500, 'InternalError', [...passwords].join()) }
        : null;
    const reply = await fetchSecret(broker, 'ada', grant, { key, oneTime });
    note([reply.status, reply.body]);
    assert.equal(reply.status, 503);
    assert.ok(Number(reply.headers.get('retry-after')) > 0);
    assert.equal(await releases(), before);
    vault.fault = null;
    const made = await eventually(async () => {
      const next = await fetchSecret(broker, 'ada', grant, { key, oneTime });
      note(next.body);
      return next.status === 201 && next;
    }, 60_000);
    for (const { password } of await openReleased(made, oneTime)) passwords.add(password);
    assert.equal(await releases(), before + 1);
    note((await fetchSecret(broker, 'ada', grant, { key })).body);
    // The agent's own failures quote what they were given.
    let refusals = 0;
    setting = async (password) => {
      refusals += 1;
      if (refusals === 1) throw new Error(`cannot set ${password}`);
      if (refusals === 2) throw new PasswordNotSet('the account is locked');
    };
    assert.equal((await release(grant)).status, 200);
    await confirmed(2);
    assert.ok(refusals >= 3);
    setting = async () => undefined;
  });

  it('that fails after it was written leaves nothing readable', async () => {
    const grant = await granted();
    const [key, oneTime] = [await newEngineerKey(), await newOneTimeKey()];
    const failing = { headers: { 'idempotency-key': 'canary-release' } };
    const { secretProof } = await import('../support/passwords.ts');
    const proof = await secretProof(broker, grant, { key, oneTime });
    const reply = await fetchSecret(broker, 'ada', grant, { proof, ...failing });
    for (const { password } of await openReleased(reply, oneTime)) passwords.add(password);
    note(reply.body);
    await release(grant);
    refused(await fetchSecret(broker, 'ada', grant, { proof, ...failing }), 409);
    await confirmed(3);
  });
});

it('a rotation while the vault is away is made when it is back', async () => {
  const [grant, oneTime] = [await granted(), await newOneTimeKey()];
  await openReleased(await fetchSecret(broker, 'ada', grant, { oneTime }), oneTime);
  const before = seen.length;
  vault.fault = (call) =>
    call.method === 'PUT' && call.path.includes('local-admin')
      ? { error: new ServiceError(500, 'InternalError', [...passwords].join()) }
      : null;
  await release(grant);
  await eventually(async () => seen.slice(before).some((line) => line.includes('has no new password')), 60_000);
  vault.fault = null;
  await confirmed(4);
});

it('no password is in a log line, an answer, an error, the database, the ledger or the agent’s files', async () => {
  assert.ok(passwords.size >= 4, String(passwords.size));
  note(broker.logLines);
  const files = await readdir(directory);
  const kept = await Promise.all(files.map((file) => readFile(join(directory, file), 'latin1')));
  const { body } = await broker.call('aud', 'GET', '/v1/ledger/entries?from=0&limit=1000');
  const everything = [...seen, ...kept, JSON.stringify(body), await everythingKept(broker)];
  const hidden = [...passwords].flatMap((text) => [
    text,
    Buffer.from(text).toString('hex'),
    Buffer.from(text).toString('base64url'),
  ]);
  for (const password of hidden) for (const text of everything) assert.ok(!text.includes(password), text.slice(0, 500));
});

it('a password shows itself to nobody who only looks', () => {
  const password = new Password('correct-horse');
  const shown = [inspect(password, { showHidden: true, depth: 9 }), JSON.stringify({ password }), String(password)];
  for (const text of [...shown, inspect({ password }, { customInspect: false, showHidden: true })]) {
    assert.ok(!text.includes('correct-horse'), text);
  }
  assert.equal(password.reveal(), 'correct-horse');
});
