import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createLedgerKeys, loadLedgerKeys, type LedgerKeys } from '../../src/agent/index.ts';
import { cosignNote } from '../../src/ledger/note-signatures.ts';
import { mostPinnedKeys, pinKeys, type PinnedKeys } from '../../src/ledger/pinned-keys.ts';
import { formatVkey } from '../../src/ledger/vkey.ts';
import { newTestClock } from '../agent/support/test-clock.ts';
import { newLedgerKey, rotationProof, type TestLedgerKey } from '../support/ledger-key.ts';

/** Whoever answers in the broker's place: it serves what it likes, and has stolen some keys or none. */
let answer: unknown;
let fetched: string[] = [];
let server: Server;
let issuer: string;
let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-keys-'));
  server = createServer((request, response) => {
    fetched.push(request.url!);
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(async () => {
  server.close();
  await rm(directory, { recursive: true });
});
beforeEach(() => {
  fetched = [];
});

const [own, next, third, thief] = [newLedgerKey(), newLedgerKey(), newLedgerKey(), newLedgerKey()];
const now = Date.now();
const step = (from: TestLedgerKey, to: TestLedgerKey, proof: string) => ({ from: from.vkey, to: to.vkey, proof });
const newest = (keys: LedgerKeys): string => keys.counting(Number.MAX_SAFE_INTEGER).at(-1)!;

function agentThatPinned(pinned: PinnedKeys = pinKeys(own.vkey), options = {}) {
  const kept: PinnedKeys[] = [];
  const clocks = newTestClock();
  const remember = async (next: PinnedKeys): Promise<void> => void kept.push(next);
  return { keys: createLedgerKeys({ issuer, pinned, remember, clocks, ...options }), kept, clocks };
}

test('the successor that the trusted key has proved is followed, and the old one counts until its end', async () => {
  const until = now + 60_000;
  answer = { recovery: null, rotations: [step(own, next, await rotationProof({ from: own, to: next, until }))] };
  const { keys, kept } = agentThatPinned();
  assert.equal(await keys.refresh(), true);
  assert.deepEqual(keys.counting(until - 1), [own.vkey, next.vkey]);
  assert.deepEqual(keys.counting(until), [next.vkey]);
  assert.deepEqual(
    kept.map((each) => each.keys.at(-1)!.vkey),
    [next.vkey],
  );
  assert.deepEqual(
    fetched,
    [own, next].map(({ vkey }) => `/v1/ledger/keys?after=${encodeURIComponent(vkey)}`),
  );
});

test('who was away follows one proof after the other; of what was replaced meanwhile nothing counts', async () => {
  const proofs = await Promise.all([
    rotationProof({ from: own, to: next, until: now - 90_000 }),
    rotationProof({ from: next, to: third, until: now + 60_000 }),
  ]);
  answer = { recovery: null, rotations: [step(own, next, proofs[0]), step(next, third, proofs[1])] };
  const { keys } = agentThatPinned();
  await keys.refresh();
  assert.deepEqual(keys.counting(now), [next.vkey, third.vkey]);
});

const forgeries: Readonly<Record<string, () => Promise<unknown>>> = {
  'signed by another key': async () => [
    step(own, thief, await rotationProof({ from: own, to: thief, signedBy: [thief] })),
  ],
  'signed by the successor itself and a third': async () => [
    step(own, next, await rotationProof({ from: own, to: next, signedBy: [next, third] })),
  ],
  'of a forked tree whose root nobody signed': async () => {
    const [real, fork] = await Promise.all([
      rotationProof({ from: own, to: next }),
      rotationProof({ from: own, to: thief }),
    ]);
    // The thief's leaf and way, under the checkpoint that the ledger did sign.
    const checkpoint = real.slice(real.indexOf('\n\n'));
    return [step(own, thief, fork.slice(0, fork.indexOf('\n\n')) + checkpoint)];
  },
  'under a checkpoint of another origin': async () => [
    step(own, thief, await rotationProof({ from: own, to: thief, checkpoint: { origin: 'ledger.test/us' } })),
  ],
  'of a tree of another size': async () => [
    step(own, thief, await rotationProof({ from: own, to: thief, checkpoint: { size: 13 } })),
  ],
  'for the credential key': async () => [
    step(own, thief, await rotationProof({ from: own, to: thief, event: { key: 'credential' } })),
  ],
  'of an event of another type': async () => [
    step(own, thief, await rotationProof({ from: own, to: thief, event: { type: 'policy.loaded' } })),
  ],
  'that replaces another key': async () => [
    step(own, thief, await rotationProof({ from: own, to: thief, event: { from: next.vkey } })),
  ],
  'by a key of another origin': async () => {
    const elsewhere = newLedgerKey('ledger.test/us');
    return [step(own, elsewhere, await rotationProof({ from: own, to: elsewhere }))];
  },
  'by a witness’s key': async () => {
    const witness = { ...thief, vkey: formatVkey(own.key.name, 'cosignature', thief.key.bytes) };
    return [step(own, witness, await rotationProof({ from: own, to: witness }))];
  },
  'by something that is no key': async () => [
    step(own, thief, await rotationProof({ from: own, to: thief, event: { to: `${thief.vkey}\n` } })),
  ],
  'by itself': async () => [step(own, own, await rotationProof({ from: own, to: own }))],
  'without an end of the key before': async () => [
    step(own, thief, await rotationProof({ from: own, to: thief, event: { until: undefined } })),
  ],
  'in bytes that are not canonical': async () => {
    const bytes = Buffer.from(
      JSON.stringify({ v: 1, type: 'key.rotated', key: 'ledger', from: own.vkey, to: thief.vkey }),
    );
    return [step(own, thief, await rotationProof({ from: own, to: thief, bytes }))];
  },
  'longer than any': async () => [
    step(own, thief, await rotationProof({ from: own, to: thief, event: { padding: 'x'.repeat(2_048) } })),
  ],
  'that is another’s successor': async () => [step(thief, next, await rotationProof({ from: thief, to: next }))],
  'said and not proved': async () => [step(own, thief, '')],
};

describe('an agent follows no successor', () => {
  for (const [name, forge] of Object.entries(forgeries)) {
    test(name, async () => {
      answer = { recovery: null, rotations: await forge() };
      const { keys, kept } = agentThatPinned();
      assert.equal(await keys.refresh(), false);
      assert.deepEqual([keys.counting(0), kept], [[own.vkey], []]);
    });
  }

  const rubbish: Readonly<Record<string, unknown>> = {
    'nothing at all': '',
    'no JSON': 'c2sp.org/tlog-proof@v1',
    null: null,
    'a key by word alone': { keys: [thief.vkey], recovery: null, rotations: [] },
    'too many rotations': { recovery: null, rotations: Array.from({ length: 65 }, () => step(own, next, '')) },
    'more than it reads': JSON.stringify({ recovery: null, rotations: [], padding: 'x'.repeat(1_100_000) }),
  };
  for (const [name, served] of Object.entries(rubbish)) {
    test(`because of ${name}`, async () => {
      answer = served;
      const { keys } = agentThatPinned();
      assert.equal(await keys.refresh(), false);
      assert.deepEqual(keys.counting(0), [own.vkey]);
      assert.equal(fetched.length, 1);
    });
  }

  test('that leads round in a circle', async () => {
    const proofs = await Promise.all([
      rotationProof({ from: own, to: next }),
      rotationProof({ from: next, to: own }),
      rotationProof({ from: own, to: third }),
    ]);
    answer = {
      recovery: null,
      rotations: [step(own, next, proofs[0]), step(next, own, proofs[1]), step(own, third, proofs[2])],
    };
    const { keys } = agentThatPinned();
    await keys.refresh();
    assert.equal(newest(keys), next.vkey);
  });

  test('beyond the number that it has room for', async () => {
    const past = Array.from({ length: mostPinnedKeys - 1 }, () => ({ vkey: thief.vkey, until: 0 }));
    answer = { recovery: null, rotations: [step(own, next, await rotationProof({ from: own, to: next }))] };
    const pinned = { keys: [...past, { vkey: own.vkey, until: null }], recoveryKey: null, recovered: 0 };
    const { keys } = agentThatPinned(pinned);
    await keys.refresh();
    assert.equal(newest(keys), own.vkey);
  });

  test('that no demanded witness has cosigned, though the key itself has signed a fork with it', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const bytes = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
    const witnesses = { keys: [formatVkey('witness.test', 'cosignature', bytes)], needed: 1 };
    answer = { recovery: null, rotations: [step(own, thief, await rotationProof({ from: own, to: thief }))] };
    const { keys, clocks } = agentThatPinned(pinKeys(own.vkey), { witnesses });
    await keys.refresh();
    assert.equal(newest(keys), own.vkey);
    const cosign = (text: string): string => cosignNote(text, 'witness.test', privateKey, Math.floor(now / 1_000));
    answer = { recovery: null, rotations: [step(own, next, await rotationProof({ from: own, to: next, cosign }))] };
    clocks.pass(60_000);
    await keys.refresh();
    assert.equal(newest(keys), next.vkey);
  });

  test('that it cannot keep', async () => {
    answer = { recovery: null, rotations: [step(own, next, await rotationProof({ from: own, to: next }))] };
    const remember = () => Promise.reject(new Error('no space left on device'));
    const { keys } = agentThatPinned(pinKeys(own.vkey), { remember });
    assert.equal(await keys.refresh(), false);
    assert.equal(newest(keys), own.vkey);
  });
});

test('nobody can make an agent fetch often: not by hints, not by receipts, not by answers that bring nothing', async () => {
  answer = { recovery: null, rotations: [] };
  const { keys, clocks } = agentThatPinned();
  for (let minute = 0; minute < 10; minute++) {
    for (let i = 0; i < 50; i++) {
      keys.heard(`${10_000_000 + i}`);
      await keys.refresh();
    }
    clocks.pass(60_000);
  }
  assert.equal(fetched.length, 10);
  keys.heard(own.vkey);
  keys.heard(null);
  await keys.idle();
  assert.equal(fetched.length, 10);
});

test('a restart goes on from the key that was followed, and a spoilt file is not taken for none', async () => {
  const enrolled = { issuer, ledgerKey: own.vkey, recoveryKey: null };
  answer = { recovery: null, rotations: [step(own, next, await rotationProof({ from: own, to: next, until: 0 }))] };
  const first = await loadLedgerKeys(enrolled, directory, {});
  await first!.refresh();
  assert.deepEqual(first!.counting(now), [next.vkey]);
  const again = await loadLedgerKeys(enrolled, directory, {});
  assert.deepEqual(again!.counting(now), [next.vkey]);
  await assert.rejects(loadLedgerKeys({ ...enrolled, ledgerKey: thief.vkey }, directory, {}), /enrol the device anew/);
  const file = join(directory, 'ledger-keys.json');
  const text = await readFile(file, 'utf8');
  for (const spoilt of ['{}', '{"keys":[]}', text.replace(next.vkey, 'nonsense'), text.replace('null', '5'), 'null']) {
    await writeFile(file, spoilt);
    await assert.rejects(loadLedgerKeys(enrolled, directory, {}), /enrol/, spoilt);
  }
});
