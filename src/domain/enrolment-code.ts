import { createHash } from 'node:crypto';

const alphabet = 'abcdefghijkmnpqrstuvwxyz23456789';

/**
 * What an enrolment code ends in, after its last hyphen: the first 80 bits of SHA-256 over the issuer, a newline and the
 * ledger's verifier key, in base32; where there is a recovery key, a newline and that key too. Whoever carries the code
 * to a device carries with it whom the device is to trust (contract §5).
 */
export function enrolmentCodeSuffix(issuer: string, ledgerKey: string, recoveryKey: string | null = null): string {
  const trusted = [issuer, ledgerKey, ...(recoveryKey === null ? [] : [recoveryKey])].join('\n');
  return base32(createHash('sha256').update(trusted).digest().subarray(0, 10));
}

/** Base32 in letters and digits that cannot be taken for one another when read out. */
export function base32(bytes: Uint8Array): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? []).map((five) => alphabet[Number.parseInt(five, 2)]).join('');
}
