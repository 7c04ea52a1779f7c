import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalizeHttpUri } from '../../src/domain/http-uri.ts';

const same: [string, string][] = [
  ['https://broker.example/v1/x', 'HTTPS://Broker.Example/v1/x'],
  ['https://broker.example/v1/x', 'https://broker.example:443/v1/x'],
  ['https://broker.example/v1/x', 'https://broker.example/v1/x?y=1#z'],
  ['https://broker.example/v1/x', 'https://broker.example/v1/a/../x'],
  ['https://broker.example/v1/~x', 'https://broker.example/v1/%7ex'],
  ['https://broker.example/v1/%2F', 'https://broker.example/v1/%2f'],
  ['https://broker.example', 'https://broker.example/'],
  ['http://127.0.0.1:7400/', 'http://127.0.0.1:7400'],
  ['http://[::1]:7400/a', 'http://[::1]:7400/a'],
];
for (const [a, b] of same) {
  test(`\`${b}\` is the same address as \`${a}\``, () => {
    assert.notEqual(normalizeHttpUri(a), null);
    assert.equal(normalizeHttpUri(a), normalizeHttpUri(b));
  });
}

const different = [
  'http://broker.example/v1/x',
  'https://broker.example:444/v1/x',
  'https://broker.example/v1/X',
  'https://broker.example/v1/x/',
  'https://broker.example//v1/x',
  'https://broker.example/v1%2Fx',
  'https://broker.example./v1/x',
];
for (const address of different) {
  test(`\`${address}\` is another address`, () => {
    assert.notEqual(normalizeHttpUri(address), null);
    assert.notEqual(normalizeHttpUri(address), normalizeHttpUri('https://broker.example/v1/x'));
  });
}

const refused = [
  '',
  '/v1/x',
  'ftp://broker.example/v1/x',
  ' https://broker.example/v1/x',
  'https://broker.example/v1/x\n',
  'https:/broker.example/v1/x',
  'https:\\\\broker.example\\v1\\x',
  'https://broker.example\\v1/x',
  'https://user@broker.example/v1/x',
  'https://bröker.example/v1/x',
  'https://%62roker.example/v1/x',
  'https://broker.example/v1/%zz',
  'https://0x7f.1/v1/x',
  'https://broker.example:99999/',
];
for (const address of refused) {
  test(`${JSON.stringify(address)} is no address that RFC 3986 and this comparison allow`, () => {
    assert.equal(normalizeHttpUri(address), null);
  });
}
