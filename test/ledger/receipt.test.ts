import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { credentialClaims, signCredential, type CredentialClaims } from '../../src/credentials/credential.ts';
import { newId } from '../../src/domain/ids.ts';
import { canonicalJson, commit, leafBytes } from '../../src/ledger/canonical.ts';
import { formatCheckpoint, signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { eventOf } from '../../src/ledger/events.ts';
import { leafHash } from '../../src/ledger/merkle.ts';
import { inclusionProof, nodesOfLeaves, treeRoot } from '../../src/ledger/merkle-proof.ts';
import { cosignNote } from '../../src/ledger/note-signatures.ts';
import { formatProofText, parseProofText } from '../../src/ledger/proof-text.ts';
import {
  formatReceipt,
  longestReceipt,
  longestReceiptEvent,
  receiptVerifier,
  verifyReceipt,
} from '../../src/ledger/receipt.ts';
import { formatVkey } from '../../src/ledger/vkey.ts';

const origin = '127.0.0.1/ledger';
const now = new Date('2026-03-01T09:30:00.250Z');
const at = now.getTime();
const ledger = generateKeyPairSync('ed25519');
const witness = generateKeyPairSync('ed25519');
const trust = { ledgerKey: vkeyOf(origin, 'ed25519', ledger.publicKey), origin };
const witnessVkey = vkeyOf('witness.example', 'cosignature', witness.publicKey);

function vkeyOf(name: string, kind: 'ed25519' | 'cosignature', key: KeyObject): string {
  return formatVkey(name, kind, Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url'));
}

const claims = credentialClaims({
  issuer: 'https://latchkey.example',
  id: newId('credential', at),
  person: newId('person', at),
  device: newId('device', at),
  tenant: newId('tenant', at),
  grant: newId('grant', at),
  scopes: ['device.inspect', 'device.reboot'],
  keyThumbprint: createHash('sha256').update('key').digest('base64url'),
  expiresAt: new Date(at + 3_600_000),
  now,
})!;
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signer = { kid: 'k', privateKey, publicKey: createPublicKey(privateKey), publicJwk: {} };
const { jwt, hash } = await signCredential(signer, claims);
const presented = { jwt, claims };

/** The event as the broker writes it. */
const event = eventOf(
  {
    type: 'credential.issued',
    credential: hash.toString('base64url'),
    jti: claims.jti,
    grant: claims.grant,
    device: claims.aud.replace('urn:latchkey:device:', '') as ReturnType<typeof newId<'device'>>,
    person: claims.sub,
    scopes: claims.scope.split(' '),
    iat: claims.iat,
    nbf: claims.nbf,
    exp: claims.exp,
    decision: commit(Buffer.alloc(16), 'the decision'),
  },
  { at: now, region: 'EU', tenant: claims.tenant, actor: { kind: 'person', id: claims.sub } },
);

/** A receipt for that leaf at index 9 of a tree of 12. */
async function receiptFor(leaf: Uint8Array, change: { key?: KeyObject; origin?: string; size?: number } = {}) {
  const [index, size] = [9, 12];
  const leaves = Array.from({ length: size }, (_, i) => leafHash(i === index ? leaf : Buffer.from(`event ${i}`)));
  const nodes = nodesOfLeaves(leaves);
  const checkpoint = { origin: change.origin ?? origin, size: change.size ?? size, root: await treeRoot(size, nodes) };
  return formatReceipt({
    event: leaf,
    index,
    hashes: await inclusionProof(index, size, nodes),
    checkpoint: signCheckpoint(checkpoint, change.key ?? ledger.privateKey),
  });
}

/** Logs something else than what the broker would, correctly in every other way. */
function receiptForEvent(change: Readonly<Record<string, unknown>>): Promise<string> {
  return receiptFor(Buffer.from(canonicalJson({ ...event, ...change })));
}

const good = await receiptFor(leafBytes(event));

test('the receipt of what was logged verifies, and says where it lies', () => {
  const verdict = verifyReceipt({ ...presented, ...trust, text: good });
  assert.ok(verdict.ok);
  assert.deepEqual([verdict.index, verdict.checkpoint.size, verdict.checkpoint.origin], [9, 12, origin]);
  assert.equal(verdict.signed, parseProofText(good).checkpoint);
});

test('no byte of a receipt can be changed, and nothing cut off or added', () => {
  const verify = receiptVerifier(trust);
  const shown = { hash: createHash('sha256').update(jwt).digest('base64url'), claims };
  const bytes = Buffer.from(good);
  for (let i = 0; i < bytes.length; i++) {
    for (const bit of [1, 4, 32]) {
      const changed = Buffer.from(bytes);
      changed[i]! ^= bit;
      assert.equal(verify({ ...shown, text: changed.toString() }).ok, false, `bit ${bit} of byte ${i}`);
    }
    assert.equal(verify({ ...shown, text: bytes.toString('utf8', 0, i) }).ok, false, `cut at ${i}`);
  }
  for (const text of [`${good}\n`, `\n${good}`, `${good} `, `\ufeff${good}`, good + good]) {
    assert.equal(verify({ ...shown, text }).ok, false);
  }
});

test('a harmless leaf covers no powerful credential: each field has to be the credential’s', async () => {
  const stranger = { device: newId('device', at), person: newId('person', at), grant: newId('grant', at) };
  const changes: Record<string, readonly unknown[]> = {
    credential: [createHash('sha256').update('another').digest('base64url'), hash.toString('base64'), null],
    jti: [newId('credential', at), '', null],
    grant: [stranger.grant, null],
    device: [stranger.device, claims.aud, [event.type === 'credential.issued' && event.device], null],
    tenant: [newId('tenant', at), null],
    person: [stranger.person, null],
    scopes: [
      ['device.inspect'],
      ['device.reboot', 'device.inspect'],
      ['device.inspect', 'device.reboot', 'usb.reset'],
      ['device.inspect device.reboot'],
      [['device.inspect'], 'device.reboot'],
      'device.inspect device.reboot',
      [],
      null,
    ],
    iat: [claims.iat - 1, String(claims.iat), null],
    nbf: [claims.nbf + 1, null],
    exp: [claims.exp + 1, claims.exp - 1, String(claims.exp), null],
  };
  for (const [field, values] of Object.entries(changes)) {
    const reason = `\`${field}\` of the event is not that of the credential`;
    for (const value of [...values, undefined]) {
      const text = await receiptForEvent({ [field]: value });
      assert.deepEqual(verifyReceipt({ ...presented, ...trust, text }), { ok: false, reason });
    }
  }
});

test('a claim that the credential lacks is not one that the event may lack too', async () => {
  const text = await receiptForEvent({ grant: undefined });
  const without = { ...claims, grant: undefined } as unknown as CredentialClaims;
  assert.equal(verifyReceipt({ jwt, claims: without, ...trust, text }).ok, false);
  const elsewhere = { ...claims, aud: 'urn:latchkey:tenant:x' };
  assert.equal(verifyReceipt({ jwt, claims: elsewhere, ...trust, text: good }).ok, false);
});

test('the receipt of one credential is not that of another with the same claims', async () => {
  const again = await signCredential(signer, claims);
  assert.notEqual(again.jwt, jwt);
  assert.deepEqual(verifyReceipt({ jwt: again.jwt, claims, ...trust, text: good }), {
    ok: false,
    reason: '`credential` of the event is not that of the credential',
  });
});

test('an event of another type or version is refused, whatever its fields', async () => {
  for (const change of [{ type: 'session.started' }, { type: undefined }, { v: 2 }, { v: '1' }, { v: undefined }]) {
    const text = await receiptForEvent(change);
    const reason = 'the event is not `credential.issued`';
    assert.deepEqual(verifyReceipt({ ...presented, ...trust, text }), { ok: false, reason });
  }
});

test('an event in any form but the canonical one is refused', async () => {
  const canonical = leafBytes(event).toString();
  const forms: [leaf: string | Buffer, reason: string][] = [
    [JSON.stringify(event), 'the event is not RFC 8785 canonical JSON'],
    [canonical.replace(':', ': '), 'the event is not RFC 8785 canonical JSON'],
    [`${canonical}\n`, 'the event is not RFC 8785 canonical JSON'],
    [canonical.replace('"v":1', '"v":1.0'), 'the event is not RFC 8785 canonical JSON'],
    [canonical.replace('EU', '\\u0045U'), 'the event is not RFC 8785 canonical JSON'],
    [canonical.replace(/\}$/, ',"v":1}'), 'the event is not JSON'],
    [`\ufeff${canonical}`, 'the event is not JSON'],
    [canonical.slice(0, -1), 'the event is not JSON'],
    [Buffer.concat([Buffer.from(canonical.slice(0, 60)), Buffer.of(0xff)]), 'the event is not JSON'],
    [Buffer.from(canonical.replace('EU', '\u00ff'), 'latin1'), 'the event is not RFC 8785 canonical JSON'],
    ['[]', 'the event is no JSON object'],
    ['null', 'the event is no JSON object'],
    ['"credential.issued"', 'the event is no JSON object'],
    ['{}', 'the event is not `credential.issued`'],
  ];
  for (const [leaf, reason] of forms) {
    const text = await receiptFor(Buffer.from(leaf));
    assert.deepEqual(verifyReceipt({ ...presented, ...trust, text }), { ok: false, reason });
  }
});

test('a checkpoint of another key, origin or tree makes no receipt', async () => {
  const leaf = leafBytes(event);
  const refusals = [
    [await receiptFor(leaf, { key: generateKeyPairSync('ed25519').privateKey }), 'no signature is of a known key'],
    [await receiptFor(leaf, { origin: 'other.example/ledger' }), 'no signature is of a known key'],
    [await receiptFor(leaf, { size: 4 }), 'a tree of 4 has no leaf 9'],
    [await receiptFor(leaf, { size: 100 }), 'the inclusion proof is too short'],
    [good.replace('index 9', 'index 8'), 'the inclusion proof leads to another root'],
    [good.replace(/extra .*\n/, ''), 'the receipt does not carry its event'],
    [good.replace(/extra .*\n/, 'extra \n'), 'the event is not JSON'],
  ] as const;
  for (const [text, reason] of refusals) {
    assert.deepEqual(verifyReceipt({ ...presented, ...trust, text }), { ok: false, reason });
  }
  const misnamed = { ...trust, origin: 'other.example/ledger' };
  const reason = 'the checkpoint is of another origin';
  assert.deepEqual(verifyReceipt({ ...presented, ...misnamed, text: good }), { ok: false, reason });
});

test('whoever asks for witnesses is satisfied by no fewer', async () => {
  const { checkpoint } = parseProofText(good);
  const text = formatCheckpoint({ origin, size: 12, root: Buffer.from(checkpoint.split('\n')[2]!, 'base64') });
  const cosigned = good + cosignNote(text, 'witness.example', witness.privateKey, 1_800_000_000);
  const asking = { ...trust, witnesses: { keys: [witnessVkey], needed: 1 } };
  assert.ok(verifyReceipt({ ...presented, ...asking, text: cosigned }).ok);
  assert.ok(verifyReceipt({ ...presented, ...trust, text: cosigned }).ok);
  assert.deepEqual(verifyReceipt({ ...presented, ...asking, text: good }), {
    ok: false,
    reason: 'the checkpoint is cosigned by 0 witnesses, 1 are needed',
  });
});

test('a trust that can never be met, or that mixes up keys, is refused at once', () => {
  const same = vkeyOf('alias.example', 'cosignature', witness.publicKey);
  for (const witnesses of [
    { keys: [witnessVkey], needed: 2 },
    { keys: [witnessVkey, same], needed: 2 },
    { keys: [witnessVkey], needed: 0 },
    { keys: [witnessVkey], needed: 0.5 },
  ]) {
    assert.throws(() => receiptVerifier({ ...trust, witnesses }), RangeError);
  }
  for (const mixed of [
    { ...trust, ledgerKey: witnessVkey },
    { ...trust, ledgerKey: 'nonsense' },
    { ...trust, witnesses: { keys: [trust.ledgerKey], needed: 1 } },
  ]) {
    assert.throws(() => receiptVerifier(mixed), { name: 'Malformed' });
  }
});

test('no receipt is made or read whose event is longer than 2,048 bytes, or that is longer than 8,192 itself', () => {
  const { extra, index, hashes, checkpoint } = parseProofText(good);
  const wide = { event: Buffer.alloc(longestReceiptEvent + 1, ' '), index, hashes, checkpoint };
  assert.throws(() => formatReceipt(wide), /the event is 2049 bytes long/);
  const text = formatProofText({ ...wide, extra: wide.event });
  assert.deepEqual(verifyReceipt({ ...presented, ...trust, text }), {
    ok: false,
    reason: 'the event is longer than 2048 bytes',
  });
  const cosigned = `${checkpoint}— someone.example ${'A'.repeat(longestReceipt)}\n`;
  assert.throws(
    () => formatReceipt({ event: extra!, index, hashes, checkpoint: cosigned }),
    /the receipt is \d+ bytes/,
  );
  const padded = formatProofText({ extra, index, hashes, checkpoint: cosigned });
  assert.deepEqual(verifyReceipt({ ...presented, ...trust, text: padded }), {
    ok: false,
    reason: 'the receipt is longer than 8192 bytes',
  });
});

test('a receipt for an entry among ten billion fits, with a dozen cosignatures', () => {
  const { extra, index, hashes, checkpoint } = parseProofText(good);
  const cosignatures = `— witness.example/with-a-long-name ${'A'.repeat(104)}\n`.repeat(12);
  const deep = { index, hashes: Array(34).fill(hashes[0]), checkpoint: checkpoint + cosignatures };
  assert.ok(formatReceipt({ ...deep, event: extra! }).length < longestReceipt);
});
