import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { canonicalJson, commit } from '../../src/ledger/canonical.ts';
import { openCheckpoint } from '../../src/ledger/checkpoint.ts';
import { leafHash, nodeHash, rootOfLeaves } from '../../src/ledger/merkle.ts';
import { parseProofText } from '../../src/ledger/proof-text.ts';
import { verifyReceipt, type ReceiptClaims } from '../../src/ledger/receipt.ts';
import { formatEntryBundle } from '../../src/ledger/tiles.ts';
import { parseVkey } from '../../src/ledger/vkey.ts';

const root = new URL('../../', import.meta.url);
const document = await readFile(new URL('docs/ledger-format.md', root), 'utf8');
const block = (name: string) => new RegExp(`^\`\`\`${name}\\n([^]*?)^\`\`\`$`, 'm').exec(document)![1]!;

const vkey = block('vkey').trim();
const entries = block('entries').trimEnd().split('\n');
const jwt = block('credential').trim();
const receipt = block('receipt');
const { name: origin } = parseVkey(vkey);

test('the entries of the worked example are canonical, and hash to what it says', () => {
  for (const entry of entries) assert.equal(canonicalJson(JSON.parse(entry)), entry);
  const leaves = entries.map((entry) => leafHash(Buffer.from(entry)));
  const hashes = [...leaves, nodeHash(leaves[0]!, leaves[1]!), rootOfLeaves(leaves)].map((hash) =>
    hash.toString('hex'),
  );
  assert.deepEqual(block('hashes').match(/[0-9a-f]{64}/g), hashes);
  const bundle = formatEntryBundle(entries.map((entry) => Buffer.from(entry)));
  const first = Buffer.byteLength(entries[0]!);
  assert.equal(bundle.readUInt16BE(0), first);
  for (const said of [`\`${bundle.toString('hex', 0, 2)}\``, `the ${first} bytes`, `has ${bundle.length} bytes`]) {
    assert.ok(document.includes(said), said);
  }
});

test('the checkpoint of the worked example opens, and its receipt verifies for its credential', () => {
  const { checkpoint } = openCheckpoint(parseProofText(receipt).checkpoint, { origin, ledgerKeys: [parseVkey(vkey)] });
  assert.equal(checkpoint.size, entries.length);
  assert.deepEqual(Buffer.from(checkpoint.root), rootOfLeaves(entries.map((entry) => leafHash(Buffer.from(entry)))));
  const claims = JSON.parse(Buffer.from(jwt.split('.')[1]!, 'base64url').toString()) as ReceiptClaims;
  assert.equal(verifyReceipt({ text: receipt, jwt, claims, ledgerKey: vkey, origin }).ok, true);
  assert.ok(document.includes(`${Buffer.byteLength(receipt)} bytes, which ends in the checkpoint`));
});

test('the commitment of the worked example is opened by its salt and text', () => {
  const event = JSON.parse(entries.at(-1)!) as { credential: string; decision: { inputs: string } };
  const [, text, salt] = /the text `(.+)` under the salt `([0-9a-f]{32})`/.exec(document)!;
  assert.equal(commit(Buffer.from(salt!, 'hex'), text!), event.decision.inputs);
  assert.equal(createHash('sha256').update(jwt).digest('base64url'), event.credential);
});

test('every type of event is in the table, with all of its members', async () => {
  const source = await readFile(new URL('src/ledger/events.ts', root), 'utf8');
  const types = [...source.matchAll(/'([a-z-]+\.[a-z-]+)'/g)].map(([, type]) => type!);
  assert.ok(types.length > 20);
  for (const type of types) assert.match(document, new RegExp(`^\\| .*\`${type}\`.* \\|`, 'm'), type);
  const facts = source.slice(source.indexOf('interface DecisionRecord'), source.indexOf('export type Actor'));
  const members = [...facts.matchAll(/readonly (\w+):/g)].map(([, member]) => member!);
  for (const member of members)
    assert.ok(document.includes(`\`${member}\``) || document.includes(`"${member}"`), member);
});
