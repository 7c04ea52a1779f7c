import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { emptyRoot } from '../../src/ledger/merkle.ts';
import { formatNote } from '../../src/ledger/note.ts';
import { cosignNote, signNote } from '../../src/ledger/note-signatures.ts';
import { formatVkey, parseVkey, type SignatureKind } from '../../src/ledger/vkey.ts';

const origin = 'latchkey.example/ledger';
const root = Buffer.alloc(32, 9);
const ledger = newKey(origin, 'ed25519');
const witnesses = ['w0.example', 'w1.example', 'w2.example'].map((name) => newKey(name, 'cosignature'));
const keys = witnesses.map(({ key }) => key);
const signed = signCheckpoint({ origin, size: 7, root }, ledger.privateKey);

function newKey(name: string, kind: SignatureKind, pair = generateKeyPairSync('ed25519')) {
  const bytes = Buffer.from(pair.publicKey.export({ format: 'jwk' }).x!, 'base64url');
  return { ...pair, name, key: parseVkey(formatVkey(name, kind, bytes)) };
}

function cosigned(by: readonly { name: string; privateKey: typeof ledger.privateKey }[]): string {
  const text = formatCheckpoint({ origin, size: 7, root });
  return signed + by.map(({ name, privateKey }) => cosignNote(text, name, privateKey, 1_800_000_000)).join('');
}

test('the example of the tlog-checkpoint specification is read, and written to the byte', () => {
  const text = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
  const checkpoint = parseCheckpoint(text);
  assert.equal(checkpoint.origin, 'example.com/behind-the-sofa');
  assert.equal(checkpoint.size, 20_852_163);
  assert.equal(formatCheckpoint(checkpoint), text);
});

test('a checkpoint comes back as it was, with lines that are not ours', () => {
  const line = fc.stringMatching(/^[!-~]+( [!-~]+)*$/);
  const checkpoints = fc.record({
    origin: line,
    size: fc.maxSafeNat(),
    root: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    extensions: fc.array(line),
  });
  fc.assert(
    fc.property(checkpoints, (checkpoint) => {
      const text = formatCheckpoint(checkpoint);
      const again = parseCheckpoint(text);
      assert.equal(formatCheckpoint(again), text);
      assert.deepEqual(
        { ...again, root: Buffer.from(again.root) },
        { ...checkpoint, root: Buffer.from(checkpoint.root) },
      );
    }),
  );
});

test('a text that is no checkpoint is refused with its reason', () => {
  const hash = root.toString('base64');
  const refusals: [text: string, reason: RegExp][] = [
    ['', /three lines/],
    [`${origin}\n7\n`, /three lines/],
    [`${origin}\n7\n${hash}`, /three lines/],
    [`\n7\n${hash}\n`, /three lines/],
    [`${origin}\n7\n${hash}\n\n`, /three lines/],
    [`${origin}\n7\n${hash}\n\nmore\n`, /three lines/],
    [`${origin}\n07\n${hash}\n`, /leading zeroes/],
    [`${origin}\n00\n${hash}\n`, /leading zeroes/],
    [`${origin}\n+7\n${hash}\n`, /decimal number/],
    [`${origin}\n-7\n${hash}\n`, /decimal number/],
    [`${origin}\n7.0\n${hash}\n`, /decimal number/],
    [`${origin}\n0x7\n${hash}\n`, /decimal number/],
    [`${origin}\n7 \n${hash}\n`, /decimal number/],
    [`${origin}\n٧\n${hash}\n`, /decimal number/],
    [`${origin}\n9007199254740992\n${hash}\n`, /larger than/],
    [`${origin}\n18446744073709551615\n${hash}\n`, /decimal number/],
    [`${origin}\n7\n${hash.slice(0, -1)}\n`, /not base64/],
    [`${origin}\n7\n${hash.replace('CQk=', 'CQl=')}\n`, /not base64/],
    [`${origin}\n7\n ${hash}\n`, /not base64/],
    [`${origin}\n7\n${Buffer.alloc(31).toString('base64')}\n`, /not 32 bytes/],
    [`${origin}\n7\n${root.toString('hex')}\n`, /not 32 bytes/],
  ];
  for (const [text, message] of refusals) assert.throws(() => parseCheckpoint(text), { name: 'Malformed', message });
});

test('a signed checkpoint is opened by who knows its key and its origin', () => {
  const { checkpoint, note } = openCheckpoint(signed, { origin, ledgerKeys: [ledger.key] });
  assert.deepEqual([checkpoint.size, Buffer.from(checkpoint.root)], [7, root]);
  assert.deepEqual(
    note.verified.map(({ key }) => key.name),
    [origin],
  );
  const empty = signCheckpoint({ origin, size: 0, root: emptyRoot }, ledger.privateKey);
  assert.equal(openCheckpoint(empty, { origin, ledgerKeys: [ledger.key] }).checkpoint.size, 0);
  const successor = newKey(origin, 'ed25519');
  assert.equal(openCheckpoint(signed, { origin, ledgerKeys: [successor.key, ledger.key] }).checkpoint.size, 7);
});

test('a checkpoint of another key or origin is refused', () => {
  const impostor = newKey(origin, 'ed25519');
  assertRefused(signed, { origin, ledgerKeys: [impostor.key] }, 'no signature is of a known key');
  assertRefused(signed, { origin: `${origin}/`, ledgerKeys: [ledger.key] }, 'the checkpoint is of another origin');
  const elsewhere = formatCheckpoint({ origin: 'other.example', size: 7, root });
  const resigned = formatNote(elsewhere, [signNote(elsewhere, origin, ledger.privateKey)]);
  assertRefused(resigned, { origin, ledgerKeys: [ledger.key] }, 'the checkpoint is of another origin');
});

test('a checkpoint needs the ledger itself, whoever else has signed', () => {
  const text = formatCheckpoint({ origin, size: 7, root });
  const only = formatNote(
    text,
    witnesses.map(({ name, privateKey }) => cosignNote(text, name, privateKey, 1)),
  );
  const trust = { origin, ledgerKeys: [ledger.key], witnesses: { keys, needed: 3 } };
  assertRefused(only, trust, 'the checkpoint is not signed by the ledger');
});

test('as many witnesses as are needed must have cosigned', () => {
  for (const needed of [1, 2, 3]) {
    const trust = { origin, ledgerKeys: [ledger.key], witnesses: { keys, needed } };
    for (let by = 0; by <= 3; by++) {
      const note = cosigned(witnesses.slice(0, by));
      if (by >= needed) assert.equal(openCheckpoint(note, trust).checkpoint.size, 7);
      else assertRefused(note, trust, `the checkpoint is cosigned by ${by} witnesses, ${needed} are needed`);
    }
  }
});

test('a witness counts once, however often and under however many names it signs', () => {
  const [first] = witnesses;
  const alias = newKey('alias.example', 'cosignature', first);
  const trust = { origin, ledgerKeys: [ledger.key], witnesses: { keys: [...keys, alias.key], needed: 2 } };
  for (const by of [
    [first!, first!],
    [first!, alias],
  ]) {
    assertRefused(cosigned(by), trust, 'the checkpoint is cosigned by 1 witnesses, 2 are needed');
  }
});

test('a cosignature that is not good refuses the checkpoint, even when others would do', () => {
  const forger = { ...generateKeyPairSync('ed25519') };
  const text = formatCheckpoint({ origin, size: 7, root });
  const [first, second] = witnesses;
  // The line of the second witness, with the signature of somebody else under its name and id.
  const theirs = cosignNote(text, second!.name, forger.privateKey, 1).split(' ').at(-1)!.trim();
  const swapped = Buffer.concat([Buffer.from(second!.key.id, 'hex'), Buffer.from(theirs, 'base64').subarray(4)]);
  const note = `${cosigned([first!])}— ${second!.name} ${swapped.toString('base64')}\n`;
  const trust = { origin, ledgerKeys: [ledger.key], witnesses: { keys, needed: 1 } };
  assertRefused(note, trust, 'the signature of `w1.example` is not good');
});

function assertRefused(note: string, trust: Parameters<typeof openCheckpoint>[1], message: string): void {
  assert.throws(() => openCheckpoint(note, trust), { name: 'Malformed', message });
}
