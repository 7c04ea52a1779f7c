import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { createBrokerKeys } from '../../src/agent/jwks.ts';
import { freshKey, keyIdOf, keyTimes, loadKeys, secretOf, type BrokerKeys } from '../../src/credentials/keys.ts';
import { signJwt } from '../../src/credentials/sign-jwt.ts';
import { hasEs256Signature } from '../../src/domain/es256.ts';
import { newVirtualVault, type VirtualVault } from '../support/virtual-vault.ts';

const minute = 60_000;
const origin = 'latchkey.test/eu';
const name = secretOf('credential');

/** A vault, and a clock that goes only when the test says so. */
function newWorld(): { vault: VirtualVault; now: () => number; pass: (milliseconds: number) => void } {
  let time = 1_800_000_000_000;
  const now = (): number => time;
  return { vault: newVirtualVault(now), now, pass: (milliseconds) => (time += milliseconds) };
}

async function rotate(vault: VirtualVault, cause = 'operator'): Promise<string> {
  const value = freshKey('credential');
  const key = await keyIdOf('credential', origin, value);
  await vault.addVersion(name, value, { tags: { cause, key } });
  return key;
}
const kids = ({ credential }: BrokerKeys): string[] => credential.published().map(({ kid }) => kid);

describe('the keys of a broker', () => {
  it('are made once, however many start at once', async () => {
    const { vault, now } = newWorld();
    const loaded = await Promise.all([1, 2, 3].map(() => loadKeys(vault, origin, { now })));
    assert.equal(new Set(loaded.map((keys) => keys.credential.signing().kid)).size, 1);
    assert.equal(new Set(loaded.map((keys) => keys.ledger.vkey)).size, 1);
  });

  it('are published before they sign, and go once nothing they signed can be in force', async () => {
    const { vault, now, pass } = newWorld();
    const keys = await loadKeys(vault, origin, { now });
    const first = keys.credential.signing().kid;
    pass(60 * minute);
    const second = await rotate(vault);
    await keys.credential.load();
    assert.deepEqual([keys.credential.signing().kid, ...kids(keys)], [first, first, second]);
    assert.equal(keys.credential.signsNext(), now() + keyTimes.credential.lead);
    pass(keyTimes.credential.lead);
    // The vault may be away: what is loaded takes its turn by the clock.
    vault.failing = { error: new Error('away'), happened: false };
    await assert.rejects(keys.credential.load(), /away/);
    assert.deepEqual([keys.credential.signing().kid, ...kids(keys)], [second, first, second]);
    pass(keyTimes.credential.overlap);
    assert.deepEqual([keys.credential.signing().kid, ...kids(keys)], [second, second]);
  });

  it('sign at once with a version that was made because the others leaked, and all older ones are out', async () => {
    const { vault, now } = newWorld();
    const keys = await loadKeys(vault, origin, { now });
    await rotate(vault);
    await keys.credential.load();
    const told: boolean[] = [];
    keys.credential.onChange((withdrawn) => told.push(withdrawn));
    const fresh = await rotate(vault, 'compromised');
    await keys.credential.load();
    assert.deepEqual([keys.credential.signing().kid, ...kids(keys)], [fresh, fresh]);
    assert.deepEqual(told, [true]);
    assert.deepEqual(
      keys.credential.versions().map(({ state, leaked }) => [state, leaked]),
      [
        ['disabled', true],
        ['disabled', true],
        ['signing', false],
      ],
    );
    // Whoever starts now knows it as well, though nobody has disabled anything yet.
    assert.deepEqual(kids(await loadKeys(vault, origin, { now })), [fresh]);
  });

  it('are out of use when the database knows that they leaked, whatever the vault says', async () => {
    const { vault, now } = newWorld();
    const keys = await loadKeys(vault, origin, { now });
    await rotate(vault);
    await keys.credential.load();
    const [first, second] = keys.credential.versions();
    vault.failing = { error: new Error('away'), happened: false };
    const withdrawn = { since: 'made', withdrawn: true } as const;
    keys.credential.know({ versions: new Map([[first!.version, withdrawn]]), others: 'made' });
    assert.deepEqual(kids(keys), [second!.id]);
    keys.credential.know({
      versions: new Map([first!, second!].map(({ version }) => [version, withdrawn])),
      others: 'made',
    });
    assert.deepEqual(kids(keys), []);
    assert.throws(() => keys.credential.signing(), { code: 'unavailable' });
  });

  it('are none when somebody put something else into the vault, and the others go on', async () => {
    const { vault, now, pass } = newWorld();
    const keys = await loadKeys(vault, origin, { now });
    const before = kids(keys);
    for (const junk of ['junk-canary', '{}', freshKey('ledger')]) await vault.addVersion(name, junk);
    await keys.credential.load();
    pass(60 * minute);
    assert.deepEqual(kids(keys), before);
    const reasons = keys.credential.versions().map(({ reason }) => reason);
    assert.deepEqual(
      reasons.slice(1, 3),
      Array(2).fill('the secret `credential-signing-key` does not hold a private key as a JWK'),
    );
    assert.match(reasons[3]!, /another kind/);
    assert.ok(!inspect(keys, { depth: 9 }).includes('canary'));

    const empty = newWorld();
    await empty.vault.create(name, 'junk');
    await assert.rejects(loadKeys(empty.vault, origin, { now }), /does not hold a private key as a JWK/);
  });
});

it('key rotation without a false refusal, no acceptance after retirement: ten rotations by two brokers before three devices', async () => {
  const { vault, now, pass } = newWorld();
  // Two brokers whose clocks are as far from each other as allowed for, and read the vault as late as they do.
  const skews = [-30_000, 30_000];
  const brokers = await Promise.all(skews.map((skew) => loadKeys(vault, origin, { now: () => now() + skew })));
  let asked = 0;
  const server = createServer((_request, response) => {
    const published = brokers[asked++ % 2]!.credential.published();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys: published.map(({ publicJwk }) => publicJwk) }));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  const clocks = { wall: now, monotonic: now };
  const devices = [1, 2, 3].map(() => createBrokerKeys({ jwksUri, clocks }));
  const verifies = async (device: number, jwt: string, kid: string): Promise<boolean> => {
    // Nobody helps with a fresh copy: what is at hand must do, as for a key that no list has named yet.
    const keys = devices[device % 3]!;
    if (!keys.isFresh()) await keys.find(kid);
    const key = keys.peek(kid);
    return key !== null && hasEs256Signature(jwt, key.key);
  };

  const readAt = [now(), now() + 18_000];
  let checked = 0;
  let step = 0;
  const kept: { readonly jwt: string; readonly kid: string; readonly until: number }[] = [];
  const last = new Map<string, { readonly jwt: string; readonly signedAt: number }>();
  const live = async (milliseconds: number, pace: number): Promise<void> => {
    for (const end = now() + milliseconds; now() < end; pass(pace)) {
      const turn = step++;
      for (const [place, broker] of brokers.entries()) {
        if (readAt[place]! > now()) continue;
        await broker.credential.load();
        readAt[place] = now() + 36_000;
      }
      const signer = brokers[turn % 2]!.credential.signing();
      const jwt = signJwt(signer, 'at+jwt', { turn });
      kept.push({ jwt, kid: signer.kid, until: now() + 10 * minute });
      last.set(signer.kid, { jwt, signedAt: now() });
      while (kept[0] && kept[0].until <= now()) kept.shift();
      // The newest, which no copy may know yet, and the oldest, whose key may be about to go.
      for (const [place, { jwt: shown, kid }] of [kept.at(-1)!, kept[0]!].entries()) {
        assert.ok(
          await verifies(turn + place, shown, kid),
          `refused ${place ? 'the oldest' : 'the newest'} at step ${turn}`,
        );
        checked++;
      }
    }
  };
  try {
    for (let rotation = 0; rotation < 10; rotation++) {
      await live(minute, 12_000);
      await rotate(vault);
      await live(keyTimes.credential.lead + 2 * minute, 6_000);
      await live(keyTimes.credential.overlap + 3 * minute, 18_000);
      const gone = [...last].filter(([, { signedAt }]) => signedAt < now() - keyTimes.credential.overlap - 2 * minute);
      assert.ok(gone.length > rotation);
      for (const [kid, { jwt }] of gone) {
        for (const device of [0, 1, 2]) assert.ok(!(await verifies(device, jwt, kid)), 'accepted after its retirement');
        for (const broker of brokers) assert.ok(!kids(broker).includes(kid));
      }
    }
    assert.equal(last.size, 11);
    assert.ok(checked > 1_000, String(checked));
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
