import { readFileSync, statSync } from 'node:fs';

/** The account of the operating system that a server runs under. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The accounts to run under when we are root, the first that exists; PostgreSQL refuses to run as root itself. */
const candidates = ['latchkey', 'postgres', '_postgres', 'nobody'];

/**
 * The account that PostgreSQL has to run under, or null for our own: only root has to choose another one. Data that is
 * there already decides by its owner, so that what began without root goes on under it.
 */
export function serverAccount(data: string): Account | null {
  if (process.geteuid?.() !== 0) return null;
  const owner = statSync(data, { throwIfNoEntry: false });
  if (owner && owner.uid !== 0) {
    return { uid: owner.uid, gid: owner.gid };
  }
  const accounts = parsePasswd(readFileSync('/etc/passwd', 'utf8'));
  for (const name of candidates) {
    const account = accounts.find((candidate) => candidate.name === name);
    if (account) return account;
  }
  throw new Error(`root may not run PostgreSQL, and none of ${candidates.map((n) => `\`${n}\``).join(', ')} exists`);
}

/** Reads the lines of `/etc/passwd`; negative numbers, as macOS writes them, are those of 32 bits. */
export function parsePasswd(text: string): (Account & { readonly name: string })[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    if (line.startsWith('#') || !name || !uid || !gid) return [];
    return [{ name, uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }];
  });
}
