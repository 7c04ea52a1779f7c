import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { makeCertificate } from '../../../src/agent/program/certificate.ts';
import { integer, objectId, octetString, time } from '../../../src/agent/program/der.ts';
import { loadDoorCertificate } from '../../../src/agent/program/door-certificate.ts';

const dayMs = 86_400_000;
const now = Date.parse('2026-03-01T12:00:00Z');

const anyTime = { notBefore: new Date(now), notAfter: new Date(now + 90 * dayMs) };

describe('a certificate that an agent makes for itself', () => {
  it('is of its own key, for a server, for the names and addresses it is called by, and for its time', () => {
    const hosts = ['10.20.0.4', 'room.example', 'fe80::1', '::ffff:1.2.3.4', '::1', '2001:db8::'];
    const { key, certificate } = makeCertificate({ ...anyTime, hosts });
    const read = new X509Certificate(certificate);
    assert.ok(read.checkPrivateKey(createPrivateKey(key)));
    assert.ok(read.verify(read.publicKey));
    assert.equal(read.ca, false);
    assert.deepEqual(read.keyUsage, ['1.3.6.1.5.5.7.3.1']);
    for (const host of ['10.20.0.4', 'fe80::1', '::ffff:1.2.3.4', '::1', '2001:db8::'])
      assert.ok(read.checkIP(host), host);
    assert.equal(read.checkHost('room.example'), 'room.example');
    assert.equal(read.checkIP('10.20.0.5'), undefined);
    assert.deepEqual([read.validFromDate, read.validToDate], [anyTime.notBefore, anyTime.notAfter]);
  });

  it('is another each time', () => {
    const [one, two] = [makeCertificate({ ...anyTime, hosts: [] }), makeCertificate({ ...anyTime, hosts: [] })];
    assert.notEqual(
      new X509Certificate(one.certificate).serialNumber,
      new X509Certificate(two.certificate).serialNumber,
    );
    assert.notEqual(one.key, two.key);
  });

  it('says a time after 2049 in the form that RFC 5280 asks for', () => {
    const notAfter = new Date('2051-01-01T00:00:00Z');
    const { certificate } = makeCertificate({ ...anyTime, notAfter, hosts: ['x.example'] });
    assert.deepEqual(new X509Certificate(certificate).validToDate, notAfter);
    assert.equal(time(new Date('2049-12-31T23:59:59Z')).toString('hex'), '170d3439313233313233353935395a');
  });
});

describe('distinguished encoding', () => {
  it('writes the examples of the standard', () => {
    assert.equal(objectId('1.2.840.113549').toString('hex'), '06062a864886f70d');
    assert.equal(integer(Buffer.of(0, 0, 127)).toString('hex'), '02017f');
    assert.equal(integer(Buffer.of(128)).toString('hex'), '02020080');
    assert.equal(integer(Buffer.of(0, 0)).toString('hex'), '020100');
  });

  it('says the length of anything in as few bytes as there can be', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 70_000 }), (length) => {
        const bytes = octetString(Buffer.alloc(length));
        const first = bytes[1]!;
        const size = first < 0x80 ? 0 : first & 0x7f;
        assert.equal(size === 0 ? first : bytes.readUIntBE(2, size), length);
        assert.equal(bytes.length, 2 + size + length);
        if (size > 0) assert.ok(length >= (size === 1 ? 0x80 : 256 ** (size - 1)));
      }),
    );
  });
});

describe('the certificate of a door', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'latchkey-certificate-'));
  });
  after(() => rm(directory, { recursive: true }));
  const load = (hosts: string[], days: number) => loadDoorCertificate(directory, hosts, now + days * dayMs);
  const file = () => join(directory, 'door-certificate.json');

  it('is kept with its key where nobody else can read it, and made anew with a third of its life left', async () => {
    const first = await load(['a.example'], 0);
    assert.equal((await stat(file())).mode & 0o777, 0o600);
    assert.equal((await load(['a.example'], 59)).certificate, first.certificate);
    const second = await load(['a.example'], 61);
    assert.notEqual(second.certificate, first.certificate);
    assert.ok(new X509Certificate(second.certificate).validToDate.getTime() > now + 150 * dayMs);
    assert.notEqual(second.key, first.key);
  });

  it('is made anew when the door is called by another name, and when the clock was ahead at its making', async () => {
    const first = await load(['a.example'], 100);
    const second = await load(['b.example'], 100);
    assert.notEqual(second.certificate, first.certificate);
    assert.notEqual((await load(['b.example'], 0)).certificate, second.certificate);
  });

  it('is not taken from a file that others can read, or that holds something else', async () => {
    await load(['a.example'], 0);
    await chmod(file(), 0o644);
    await assert.rejects(load(['a.example'], 0), /is open to other users/);
    await chmod(file(), 0o600);
    const kept = await readFile(file(), 'utf8');
    const other = JSON.stringify({ ...JSON.parse(kept), key: makeCertificate({ ...anyTime, hosts: [] }).key });
    for (const broken of ['{}', '[]', kept.replaceAll('BEGIN', 'BEGUN'), other, '{']) {
      await writeFile(file(), broken);
      await assert.rejects(load(['a.example'], 0), { name: 'StateError' });
    }
  });
});
