import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { idPattern, idPrefixes, isId, newId, uuidOf, type IdKind } from '../../src/domain/ids.ts';

const kinds = Object.keys(idPrefixes) as IdKind[];
const kind = fc.constantFrom(...kinds);
const moment = fc.nat({ max: 2 ** 48 - 1 });

test('an id begins with its kind and the moment of its making, as the TypeID specification writes them', () => {
  // The specification's own vector: 01890a5d-ac96-774b-bcce-b302099a8057 is 01h455vb4pex5vsknk084sn02q.
  assert.match(newId('grant', 0x01890a5dac96), /^grt_01h455vb4p[0-9a-hjkmnp-tv-z]{16}$/);
  assert.match(newId('tenant', 0), /^ten_0000000000[0-9a-hjkmnp-tv-z]{16}$/);
  assert.match(newId('device', 2 ** 48 - 1), /^dev_7zzzzzzzzz[0-9a-hjkmnp-tv-z]{16}$/);
});

test('an id is a UUID of version 7 and of the RFC variant', () => {
  fc.assert(
    fc.property(kind, moment, (kind, at) => {
      const bytes = Buffer.from(uuidOf(newId(kind, at)), 'hex');
      assert.equal(bytes.readUIntBE(0, 6), at);
      assert.equal(bytes[6]! >> 4, 7);
      assert.equal(bytes[8]! >> 6, 2);
    }),
  );
});

test('the UUID in an id is the one that the TypeID specification writes so', () => {
  // Vectors of the specification.
  for (const [text, uuid] of [
    ['00000000000000000000000000', '00000000-0000-0000-0000-000000000000'],
    ['0000000000000000000000000g', '00000000-0000-0000-0000-000000000010'],
    ['7zzzzzzzzzzzzzzzzzzzzzzzzz', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
    ['0123456789abcdefghjkmnpqrs', '0110c853-1d09-52d8-d73e-1194e95b5f19'],
    ['01h455vb4pex5vsknk084sn02q', '01890a5d-ac96-774b-bcce-b302099a8057'],
  ] as const) {
    assert.equal(uuidOf(`dev_${text}`), uuid.replaceAll('-', ''));
  }
});

test('ids of one kind sort as the moments of their making do', () => {
  fc.assert(
    fc.property(kind, moment, moment, (kind, a, b) => {
      fc.pre(a !== b);
      const [first, second] = [newId(kind, Math.min(a, b)), newId(kind, Math.max(a, b))];
      assert.ok(first < second);
      assert.ok(Buffer.compare(Buffer.from(first), Buffer.from(second)) < 0);
    }),
  );
});

test('ids of one moment differ', () => {
  const ids = new Set(Array.from({ length: 5_000 }, () => newId('event', 1)));
  assert.equal(ids.size, 5_000);
});

test('an id is one of its own kind and of no other', () => {
  for (const made of kinds) {
    for (const asked of kinds) assert.equal(isId(asked, newId(made, Date.now())), made === asked);
  }
});

test('what is not quite an id is none', () => {
  const id = newId('grant', Date.now());
  const bent = [
    '',
    'grt_',
    id.toUpperCase(),
    id.slice(0, -1),
    `${id}0`,
    ` ${id}`,
    `${id}\n`,
    id.replace('_', '-'),
    id.replace(/^grt_0/, 'grt_8'),
    ...['i', 'l', 'o', 'u', '-', 'é'].map((letter) => id.slice(0, -1) + letter),
    null,
    undefined,
    17,
    [id],
    { toString: () => id },
  ];
  for (const each of bent) assert.equal(isId('grant', each), false, JSON.stringify(each));
  assert.ok(idPattern('grant').test(id));
});
