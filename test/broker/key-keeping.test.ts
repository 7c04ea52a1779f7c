import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import { addVersion, disableUnused } from '../../src/broker/rotate-keys.ts';
import { secretOf, type KeyName } from '../../src/credentials/keys.ts';
import type { Rotation } from '../../src/credentials/rotation.ts';
import type { Vault } from '../../src/credentials/vault.ts';
import { formatVkey } from '../../src/ledger/vkey.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { openTestKeysDesk } from '../support/keys-desk.ts';
import { eventually } from './support/scenario.ts';

const hour = 3_600_000;
/** Versions that wait go on waiting for as long as a test takes. */
const slow = { lead: hour, overlap: hour };
const keys: Partial<Rotation> = {
  times: { credential: slow, statement: slow, ledger: slow },
  readEvery: 200,
  askEvery: 50,
};

let broker: TestBroker;
before(async () => {
  broker = await newTestBroker({ brokers: 2, keys, quiet: true });
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
});

const statesOf = (index: number, name: KeyName): string[] =>
  broker.brokers[index]!.context.keys[name].versions().map(({ state }) => state);
const rotations = async (name: KeyName) => (await broker.events('key.rotated')).filter(({ key }) => key === name);
const until = (look: () => boolean): Promise<boolean> => eventually(async () => look());

test('brokers that start write down which keys there are, and rotate nothing', async () => {
  assert.deepEqual(await broker.events('key.rotated'), []);
  const { rows } = await broker.sql.query<{ name: string; key: string; event: null }>(
    'SELECT name, key, event FROM signing_keys ORDER BY name',
  );
  const { credential, statement, ledger } = broker.brokers[0]!.context.keys;
  assert.deepEqual(rows, [
    { name: 'credential', key: credential.signing().kid, event: null },
    { name: 'ledger', key: ledger.vkey, event: null },
    { name: 'statement', key: statement.signing().kid, event: null },
  ]);
});

test('a second rotation is refused while the first is on its way, whoever asks', async () => {
  const desks = await Promise.all([1, 2, 3, 4].map(() => openTestKeysDesk(broker)));
  try {
    const outcomes = await Promise.allSettled(desks.map((desk) => desk.rotate('statement', false)));
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') {
        assert.match(String(outcome.reason), /is on its way already, and signs from|somebody else is rotating/);
      }
    }
    for (const index of [0, 1]) await until(() => statesOf(index, 'statement').join() === 'signing,waiting');
    const [event, ...more] = await rotations('statement');
    const first = desks[outcomes.findIndex(({ status }) => status === 'fulfilled')]!;
    const [before, next] = (await first.list()).filter(({ name }) => name === 'statement');
    assert.deepEqual([event.from, event.to, event.cause, event.withdrawn], [before!.key, next!.key, 'operator', []]);
    assert.deepEqual(more, []);
    await assert.rejects(desks[1]!.rotate('no-such', false), /there is no key `no-such`, only `credential`/);
  } finally {
    for (const desk of desks) await desk.close();
  }
});

test('a version that was added and not written down, since whoever did it died, is written down by a broker', async () => {
  const desk = await openTestKeysDesk(broker);
  await addVersion(desk.context, 'credential', 'operator');
  await desk.close();
  for (const index of [0, 1]) await until(() => statesOf(index, 'credential').join() === 'signing,waiting');
  await eventually(async () => (await rotations('credential')).length === 1);
});

test('of versions that two made at once, the later is never used, and disabled', async () => {
  const desk = await openTestKeysDesk(broker);
  await addVersion(desk.context, 'credential', 'age');
  for (const index of [0, 1]) await until(() => statesOf(index, 'credential').join() === 'signing,waiting,disabled');
  assert.equal((await rotations('credential')).length, 1);
  await desk.close();
});

test('a leaked key is out at once on every broker, and the new one signs at once', async () => {
  const before = broker.brokers[0]!.context.keys.credential.published().map(({ kid }) => kid);
  const desk = await openTestKeysDesk(broker);
  const asked = performance.now();
  await desk.rotate('credential', true);
  const fresh = (await desk.list()).findLast(({ name }) => name === 'credential')!.key!;
  for (const { context } of broker.brokers) {
    await until(
      () =>
        context.keys.credential
          .published()
          .map(({ kid }) => kid)
          .join() === fresh,
    );
    assert.equal(context.keys.credential.signing().kid, fresh);
  }
  assert.ok(performance.now() - asked < 10_000);
  const event = (await rotations('credential')).at(-1);
  assert.deepEqual([event.to, event.cause], [fresh, 'compromised']);
  assert.deepEqual(new Set(event.withdrawn), new Set(before));
  // Neither key can be read from the vault again.
  const { vault } = desk.context;
  for (const { version, enabled } of await vault.versions(secretOf('credential'))) {
    const value = await vault.getVersion(secretOf('credential'), version);
    assert.equal(value !== null, enabled);
  }
  assert.equal((await vault.versions(secretOf('credential'))).filter(({ enabled }) => enabled).length, 1);
  await desk.close();
});

/** A vault whose calls of that name fail once, before they do anything or after. */
function breaking(call: 'addVersion' | 'disable' | 'versions', happened: boolean) {
  let armed = false;
  const wrap = (vault: Vault): Vault =>
    new Proxy(vault, {
      get: (target, name) => {
        const found = target[name as keyof Vault] as (...args: unknown[]) => Promise<unknown>;
        if (name !== call) return found;
        return async (...args: unknown[]) => {
          if (!armed) return found(...args);
          armed = false;
          if (happened) await found(...args);
          throw new Error('the vault is away');
        };
      },
    });
  return { wrap, arm: () => (armed = true) };
}

for (const call of ['addVersion', 'disable', 'versions'] as const) {
  for (const happened of [false, true]) {
    test(`the vault fails midway, at \`${call}\`, which ${happened ? 'happened' : 'did not happen'}: the leak is over all the same, now or when repeated`, async () => {
      const { wrap, arm } = breaking(call, happened);
      const desk = await openTestKeysDesk(broker, wrap);
      const old = broker.brokers[0]!.context.keys.statement.published().map(({ kid }) => kid);
      arm();
      await assert.rejects(desk.rotate('statement', true), /the vault is away/);
      if (call === 'addVersion' && !happened) await desk.rotate('statement', true);
      // From here on nobody at the desk does anything: the brokers see it through.
      for (const { context } of broker.brokers) {
        await until(() => context.keys.statement.published().every(({ kid }) => !old.includes(kid)));
        assert.equal(context.keys.statement.published().length, 1);
      }
      await eventually(
        async () =>
          (await rotations('statement')).at(-1).to === broker.brokers[0]!.context.keys.statement.signing().kid,
      );
      const enabled = async () =>
        (await desk.context.vault.versions(secretOf('statement'))).filter((version) => version.enabled);
      await eventually(async () => (await enabled()).length === 1);
      await desk.close();
    });
  }
}

test('a key that is older than its age is rotated, once among all brokers, and said so', async () => {
  const aged = await newTestBroker({ brokers: 2, keys: { ...keys, rotateAfter: 1_500 }, quiet: true });
  try {
    const states = (): string[] =>
      aged.brokers.flatMap(
        ({
          context: {
            keys: { credential, statement, ledger },
          },
        }) =>
          [credential, statement, ledger].map((ring) =>
            ring
              .versions()
              .map(({ state }) => state)
              .join(),
          ),
      );
    await until(() => states().every((each) => each === 'signing,waiting'));
    // And they go on waiting, however long they are older than that.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    assert.ok(
      states().every((each) => each === 'signing,waiting'),
      states().join(' '),
    );
    const events = (await aged.events('key.rotated')) as { key: string; cause: string }[];
    assert.deepEqual(events.map(({ key, cause }) => `${key} ${cause}`).toSorted(), [
      'credential age',
      'ledger age',
      'statement age',
    ]);
    await aged.checkLedger();
  } finally {
    await aged.stop();
  }
});

test('where there are witnesses, the ledger’s key waits for an operator, however old it is', async () => {
  const { publicKey } = generateKeyPairSync('ed25519');
  const bytes = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
  const key = formatVkey('witness.example/w1', 'cosignature', bytes);
  const aged = await newTestBroker({
    keys: { ...keys, rotateAfter: 1_000 },
    config: { ledger: { origin: 'latchkey.test/eu', witnesses: [{ url: 'http://127.0.0.1:9', key }] } },
    quiet: true,
  });
  try {
    const { credential, statement, ledger } = aged.brokers[0]!.context.keys;
    await until(() => [credential, statement].every((ring) => ring.versions().length === 2));
    // Each look takes the keys in turn: with these two, that one was looked at as well.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    assert.equal(ledger.versions().length, 1);
  } finally {
    await aged.stop();
  }
});

test('what is over is disabled, what still counts is not', async () => {
  const desk = await openTestKeysDesk(broker);
  await disableUnused(desk.context, 'credential');
  const enabled = (await desk.context.vault.versions(secretOf('credential'))).filter((version) => version.enabled);
  assert.equal(enabled.length, 1);
  await desk.close();
});
