import assert from 'node:assert/strict';
import { test } from 'node:test';
import { base32, enrolmentCodeSuffix } from '../../src/domain/enrolment-code.ts';

test('base32 takes five bits a letter, the first bits first, and drops what is left over', () => {
  assert.equal(base32(Uint8Array.of(0, 0, 0, 0, 0)), 'aaaaaaaa');
  assert.equal(base32(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff)), '99999999');
  assert.equal(base32(Uint8Array.of(0b00001_000, 0b10_00011_0)), 'bcd');
});

test('a code’s end is 16 letters that depend on the issuer and on the ledger’s key', () => {
  const suffix = enrolmentCodeSuffix('https://broker.example', 'key');
  assert.match(suffix, /^[a-km-np-z2-9]{16}$/);
  assert.notEqual(suffix, enrolmentCodeSuffix('https://broker.example', 'other'));
  assert.notEqual(suffix, enrolmentCodeSuffix('https://other.example', 'key'));
  assert.notEqual(suffix, enrolmentCodeSuffix('https://broker.example\nkey', ''));
});
