import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { formatNote, parseNote } from '../../src/ledger/note.ts';
import { cosignNote, openNote, signNote } from '../../src/ledger/note-signatures.ts';
import { formatVkey, parseVkey } from '../../src/ledger/vkey.ts';

/** The keys and the note that Go's `sumdb/note` is tested with. */
const peterVkey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const enochVkey = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop';
const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const peterLine =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const enochLine =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n';
const [peter, enoch] = [parseVkey(peterVkey), parseVkey(enochVkey)];

function privateKeyOf(seed: Buffer): KeyObject {
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
}

test('a note is signed to the byte as others sign it', () => {
  const seed = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1);
  assert.equal(signNote(text, 'PeterNeumann', privateKeyOf(seed)), peterLine);
});

test('a note of two signatures is opened with either key or both', () => {
  const note = formatNote(text, [peterLine, enochLine]);
  assert.deepEqual(
    openNote(note, [peter]).verified.map(({ key }) => key.name),
    ['PeterNeumann'],
  );
  assert.deepEqual(
    openNote(note, [enoch, peter]).verified.map(({ key }) => key.name),
    ['PeterNeumann', 'EnochRoot'],
  );
  assert.equal(openNote(Buffer.from(note), [enoch]).text, text);
  assert.equal(openNote(note, [enoch, enoch]).verified.length, 1);
});

test('a checkpoint of the Go checksum database is opened with its key', () => {
  const key = parseVkey('sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8');
  const tree = (size: number, root: string) => `go.sum database tree\n${size}\n${root}\n`;
  const notes = [
    formatNote(tree(6_476_701, 'mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk='), [
      '— sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n',
    ]),
    formatNote(tree(59_045_944, 'LE6Lx+GNVyuFBv/jKcFIiPkG1WC7DHwG0clpfN/TBlA='), [
      '— sum.golang.org Az3grk9ctaTv+CITXOwxCEHU3APAw5X7Ck14+fvFlh0GCktwX15+XPzy//GgL2G50ZgY05e8eXFTWcvW6pN5tozsLQQ=\n',
    ]),
  ];
  for (const note of notes) assert.equal(openNote(note, [key]).verified.length, 1);
});

/** A checkpoint of a Certificate Transparency log with signatures of two kinds of its own and of four witnesses. */
const witnessed = `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`;
const witnessVkeys = [
  'transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM',
  'witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO',
  'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
  'witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv',
];

test('cosignatures of witnesses in the field verify, each with its time', () => {
  const log = parseVkey(
    'arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f',
  );
  const { verified } = openNote(witnessed, [log, ...witnessVkeys.map(parseVkey)]);
  assert.deepEqual(
    verified.map(({ key, timestamp }) => [key.kind, timestamp]),
    [['ed25519', null], ...witnessVkeys.map(() => ['cosignature', 0x6a122120])],
  );
});

test('a cosignature of another time or text is refused', () => {
  const witness = parseVkey(witnessVkeys[2]!);
  assert.throws(() => openNote(witnessed.replace('2net5wAAAABqEiEg', '2net5wAAAABqEiEh'), [witness]), {
    name: 'Malformed',
    message: 'the signature of `remora.n621.de` is not good',
  });
  assert.throws(() => openNote(witnessed.replace('1432088532', '1432088533'), [witness]), { name: 'Malformed' });
});

test('what was cosigned verifies as a cosignature and as nothing else', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const bytes = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
  const [plain, witness] = [
    parseVkey(formatVkey('w.example', 'ed25519', bytes)),
    parseVkey(formatVkey('w.example', 'cosignature', bytes)),
  ];
  const cosigned = formatNote(text, [cosignNote(text, 'w.example', privateKey, 1_679_315_147)]);
  assert.equal(openNote(cosigned, [witness, plain]).verified[0]?.timestamp, 1_679_315_147);
  assert.throws(() => openNote(cosigned, [plain]), { message: 'no signature is of a known key' });
  // What the witness signed, presented as a note that it signed plainly.
  const message = `cosignature/v1\ntime 1679315147\n${text}`;
  const { signatures } = parseNote(cosigned);
  const forged = parseNote(formatNote(message, [signNote(message, 'w.example', privateKey)]));
  assert.deepEqual(forged.signatures[0]?.bytes, signatures[0]?.bytes.subarray(8));
  assert.notEqual(forged.signatures[0]?.id, signatures[0]?.id);
});

test('unknown keys count for nothing, a known key has to verify, and one has to be known', () => {
  const [noName, noId] = [peterLine.replace('Peter', 'Petra'), peterLine.replace('x08go', 'x08gp')];
  const bad = peterLine.replace('/ZJkuBS9', '/ZJkuBS8');
  for (const line of [noName, noId]) {
    assert.throws(() => openNote(formatNote(text, [line]), [peter]), { message: 'no signature is of a known key' });
    assert.equal(openNote(formatNote(text, [line, peterLine]), [peter]).verified.length, 1);
  }
  for (const lines of [[bad], [bad, enochLine], [enochLine, bad], [peterLine, bad]]) {
    assert.throws(() => openNote(formatNote(text, lines), [peter, enoch]), {
      name: 'Malformed',
      message: 'the signature of `PeterNeumann` is not good',
    });
  }
  assert.throws(() => openNote(formatNote(text, [peterLine]), []), { message: 'no signature is of a known key' });
});

test('two different keys of one name and id are refused, for nobody can say which was meant', () => {
  const other = { ...peter, bytes: enoch.bytes, publicKey: enoch.publicKey };
  assert.throws(() => openNote(formatNote(text, [peterLine]), [peter, other]), { message: /two known keys/ });
});

test('sixteen signatures are accepted, a hundred too, more are not', () => {
  const lines = (count: number) =>
    Array.from({ length: count - 1 }, (_, i) =>
      signNote(text, `key${i}.example`, generateKeyPairSync('ed25519').privateKey),
    );
  for (const count of [16, 100]) {
    const note = formatNote(text, [...lines(count), peterLine]);
    assert.equal(openNote(note, [peter]).signatures.length, count);
  }
  assert.throws(() => parseNote(formatNote(text, [...lines(101), peterLine])), { message: /more than 100/ });
});

test('what is no note is refused with its reason', () => {
  const refusals: [note: string | Uint8Array, reason: RegExp][] = [
    [text, /no empty line/],
    [`${text}\n`, /has no signature/],
    [`${text}\n${peterLine.slice(0, -1)}`, /does not end in a newline/],
    [`\u0001${text}\n${peterLine}`, /control character/],
    [`${text.replace(' ', '\t')}\n${peterLine}`, /control character/],
    [`${text}\n${peterLine}`.replaceAll('\n', '\r\n'), /control character/],
    [`\ud800${text}\n${peterLine}`, /not UTF-8/],
    [Buffer.concat([Buffer.of(0xff), Buffer.from(`${text}\n${peterLine}`)]), /not UTF-8/],
    [`${text}\n${peterLine}Unexpected line.\n`, /not `— name signature`/],
    [`${text}\n${peterLine.replace('—', '-')}`, /not `— name signature`/],
    [`${text}\n${peterLine.replace('PeterNeumann', 'Peter Neumann')}`, /not `— name signature`/],
    [`${text}\n${peterLine.replace('PeterNeumann', 'Peter+Neumann')}`, /not `— name signature`/],
    [`${text}\n${peterLine.replace('PeterNeumann', 'Peter\u00a0Neumann')}`, /not `— name signature`/],
    [`${text}\n— PeterNeumann  x08go/ZJ\n`, /not `— name signature`/],
    [`${text}\n— PeterNeumann x08goA\n`, /not base64/],
    [`${text}\n— PeterNeumann x08goB==\n`, /not base64/],
    [`${text}\n— PeterNeumann x08gow==\n`, /shorter than the id/],
    [`${'x'.repeat(262_144)}\n\n${peterLine}`, /longer than/],
    ['', /no empty line/],
  ];
  for (const [note, message] of refusals) {
    assert.throws(() => parseNote(note), { name: 'Malformed', message });
  }
});

test('the text may hold empty lines: the last one divides', () => {
  const example =
    'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n' +
    '— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n';
  const { text, signatures } = parseNote(example);
  assert.equal(text.split('\n').length, 5);
  assert.deepEqual(
    signatures.map(({ name, id, bytes }) => [name, id, bytes.length]),
    [['quasimodo.example/salvatore', '367ba04b', 64]],
  );
});

test('no byte of a note can be changed, and nothing cut off', () => {
  const note = Buffer.from(formatNote(text, [peterLine]));
  for (let at = 0; at < note.length; at++) {
    for (const bit of [1, 2, 32, 128]) {
      const changed = Buffer.from(note);
      changed[at]! ^= bit;
      assert.throws(() => openNote(changed, [peter]), { name: 'Malformed' }, `${at}`);
    }
    assert.throws(() => openNote(note.subarray(0, at), [peter]), { name: 'Malformed' });
  }
});

test('a verifier key is read only in the one form that it has', () => {
  for (const vkey of [peterVkey, enochVkey, ...witnessVkeys]) {
    const { name, kind, bytes } = parseVkey(vkey);
    assert.equal(formatVkey(name, kind, bytes), vkey);
  }
  for (let begin = 0; begin < peterVkey.length; begin++) {
    for (let end = begin + 1; end <= peterVkey.length; end++) {
      const part = peterVkey.slice(begin, end);
      if (part !== peterVkey) assert.throws(() => parseVkey(part), { name: 'Malformed' });
    }
    const mangled = Buffer.from(peterVkey);
    mangled[begin]! += 1;
    assert.throws(() => parseVkey(mangled.toString('latin1')), { name: 'Malformed' });
  }
});

test('a verifier key of a wrong length, kind, id or name is refused with its reason', () => {
  const refusals: [vkey: string, reason: RegExp][] = [
    ['PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==', /not base64|not 32 bytes/],
    ['PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', /kind that is not known/],
    [peterVkey.replace('c74f20a3', 'c74f20a4'), /not that of its key/],
    [peterVkey.replace('c74f20a3', 'C74F20A3'), /name\+id\+key/],
    [peterVkey.replace('Peter', 'Peter '), /name\+id\+key/],
    [peterVkey.slice('PeterNeumann'.length), /name\+id\+key/],
    ['', /name\+id\+key/],
  ];
  for (const [vkey, message] of refusals) assert.throws(() => parseVkey(vkey), { name: 'Malformed', message });
  assert.throws(() => formatVkey('two words', 'ed25519', peter.bytes), RangeError);
});
