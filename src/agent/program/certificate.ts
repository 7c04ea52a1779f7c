import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import type { DoorCertificate } from '../door-server.ts';
import {
  bitString,
  boolean,
  contextual,
  integer,
  objectId,
  octetString,
  sequence,
  set,
  time,
  utf8String,
} from './der.ts';

export interface CertificateWish {
  /** Host names and addresses that the door is called by. */
  readonly hosts: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const oid = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;

/**
 * Makes a fresh EC P-256 key and a certificate (X.509 v3, RFC 5280) that it signs for itself, for a TLS server and
 * nothing else. Who relies on it pins it: no authority stands behind it.
 */
export function makeCertificate({ hosts, notBefore, notAfter }: CertificateWish): DoorCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(objectId(oid.ecdsaWithSha256));
  const name = sequence(set(sequence(objectId(oid.commonName), utf8String('latchkey door'))));
  const content = sequence(
    contextual(0, integer(Buffer.of(2))),
    integer(serialNumber()),
    algorithm,
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    contextual(3, extensions(hosts)),
  );
  const signature = sign('sha256', content, { key: privateKey, dsaEncoding: 'der' });
  const certificate = sequence(content, algorithm, bitString(signature));
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    certificate: pem('CERTIFICATE', certificate),
  };
}

/** RFC 5280 §4.1.2.2: positive, at most 20 bytes; random, so that no two certificates of one name share it. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes;
}

function extensions(hosts: readonly string[]): Buffer {
  const digitalSignature = bitString(Buffer.of(0x80), 7);
  const all = [
    extension(oid.basicConstraints, true, sequence()),
    extension(oid.keyUsage, true, digitalSignature),
    extension(oid.extendedKeyUsage, false, sequence(objectId(oid.serverAuth))),
  ];
  if (hosts.length > 0) all.push(extension(oid.subjectAltName, false, sequence(...hosts.map(generalName))));
  return sequence(...all);
}

function extension(id: string, isCritical: boolean, value: Uint8Array): Buffer {
  return sequence(objectId(id), ...(isCritical ? [boolean(true)] : []), octetString(value));
}

/** RFC 5280 §4.2.1.6: an address by its bytes, anything else as a DNS name. */
function generalName(host: string): Buffer {
  if (isIPv4(host)) return contextual(7, Buffer.from(host.split('.').map(Number)), false);
  if (isIPv6(host)) return contextual(7, ipv6Bytes(host), false);
  return contextual(2, Buffer.from(host, 'ascii'), false);
}

function ipv6Bytes(text: string): Buffer {
  // Brings every way to write one into hexadecimal groups with at most one gap.
  const plain = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [front, back] = plain.split('::').map((part) => part.split(':').filter((group) => group !== ''));
  const gap = Array<string>(8 - front!.length - (back?.length ?? 0)).fill('');
  return Buffer.from([...front!, ...gap, ...(back ?? [])].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
