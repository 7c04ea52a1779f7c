import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RolePasswords } from './postgres-roles.ts';

/** What an embedded server has to remember from one start to the next. */
export interface Secrets {
  readonly superuser: string;
  readonly roles: RolePasswords;
  /** The port of the last time; null before the first. */
  readonly port: number | null;
}

/** What an earlier start wrote is kept, so that URLs handed out stay good; whatever is missing is made up. */
export function readSecrets(directory: string): Secrets {
  const isNew = !existsSync(join(directory, 'data'));
  const { superuser } = isNew ? {} : readUrls(join(directory, 'superuser.json'));
  const { admin, app, auditor } = readUrls(join(directory, 'urls.json'));
  if (!superuser && !isNew) {
    const hint = 'bring it back, or remove the whole directory to begin anew';
    throw new Error(`\`${join(directory, 'superuser.json')}\` is missing or damaged; ${hint}`);
  }
  return {
    superuser: superuser?.password ?? newPassword(),
    roles: {
      admin: admin?.password ?? newPassword(),
      app: app?.password ?? newPassword(),
      auditor: auditor?.password ?? newPassword(),
    },
    port: superuser ? Number(superuser.port) : null,
  };
}

/** Writes the superuser's URL to a file of its own: who reads `urls.json` gets the three roles and no more. */
export function writeSuperuserUrl(directory: string, url: string): void {
  replaceFile(join(directory, 'superuser.json'), { superuser: url });
}

/** Writes `urls.json` (the contract, §2). */
export function writeRoleUrls(directory: string, urls: Record<keyof RolePasswords, string>): void {
  replaceFile(join(directory, 'urls.json'), urls);
}

function readUrls(path: string): Partial<Record<UrlName, URL>> {
  try {
    const entries = Object.entries(JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>);
    return Object.fromEntries(entries.map(([name, url]) => [name, new URL(url)]));
  } catch {
    return {};
  }
}

type UrlName = 'superuser' | keyof RolePasswords;

/** A reader, or a start after a crash, finds the old file or the new one, never half of one. */
function replaceFile(path: string, content: Record<string, string>): void {
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(draft, path);
}

function newPassword(): string {
  return randomBytes(24).toString('base64url');
}
