import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { DoorCertificate } from '../door-server.ts';
import { readState, requirePrivate, StateError, writeState } from '../state-directory.ts';
import { makeCertificate } from './certificate.ts';

const fileName = 'door-certificate.json';
const dayMs = 86_400_000;
const lifeDays = 90;
/** Made anew this long before it runs out, so that a device that was off for a while is not found with a stale one. */
const spareDays = 30;
/** Clients pin the certificate and look at no date; others may, and their clocks may be behind. */
const clockSlackMs = dayMs;

/**
 * The door's certificate for these hosts: the one kept in the state directory (mode 0600, its key in it), or a fresh
 * one where there is none, it names other hosts, or less than a third of its life is left.
 * @param now milliseconds since the epoch.
 * @throws StateError when the file is broken, or other users can read it.
 */
export async function loadDoorCertificate(
  directory: string,
  hosts: readonly string[],
  now: number,
): Promise<DoorCertificate> {
  const kept = readKept(await readState(directory, fileName));
  if (kept) {
    await requirePrivate(directory, fileName);
    if (isStillGood(kept, hosts, now)) return kept;
  }
  const fresh = makeCertificate({
    hosts,
    notBefore: new Date(now - clockSlackMs),
    notAfter: new Date(now + lifeDays * dayMs),
  });
  await writeState(directory, fileName, { ...fresh, hosts });
  return fresh;
}

type Kept = DoorCertificate & { readonly hosts: readonly string[] };

function readKept(value: unknown): Kept | null {
  if (value === null) return null;
  const { key, certificate, hosts } = value as Record<string, unknown>;
  try {
    if (typeof key === 'string' && typeof certificate === 'string' && Array.isArray(hosts)) {
      const isItsKey = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
      if (isItsKey) return { key, certificate, hosts: hosts as string[] };
    }
  } catch {
    // Told below, like everything else that is no certificate with its key.
  }
  throw new StateError(`\`${fileName}\` holds no certificate with its key; remove it, and another is made`);
}

function isStillGood({ certificate, hosts: named }: Kept, hosts: readonly string[], now: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  const isCurrent = now >= validFromDate.getTime() && now < validToDate.getTime() - spareDays * dayMs;
  return isCurrent && named.length === hosts.length && named.every((host, index) => host === hosts[index]);
}
