import { chownSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Binaries } from './postgres-binaries.ts';
import { runOnData } from './postgres-spawn.ts';
import type { RunOptions } from './postgres-spawn.ts';

/**
 * Makes the data folder of a new server, whose superuser `postgres` has the password. If we stop before the last step,
 * the next start throws the half-made folder away and begins again.
 */
export async function initialise(
  directory: string,
  binaries: Binaries,
  run: RunOptions,
  password: string,
): Promise<void> {
  for (const name of readdirSync(directory)) {
    if (name.startsWith('making-')) rmSync(join(directory, name), { recursive: true, force: true });
  }
  const draft = mkdtempSync(join(directory, 'making-'));
  const secretFolder = mkdtempSync(join(binaries.cache, 'password-'));
  try {
    const passwordFile = join(secretFolder, 'password');
    writeFileSync(passwordFile, password, { mode: 0o600 });
    for (const path of [draft, secretFolder, passwordFile]) {
      if (run.account) chownSync(path, run.account.uid, run.account.gid);
    }
    await runOnData({ ...run, data: draft }, binaries.initdb, [
      '--username=postgres',
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      ...(binaries.major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : ['--lc-ctype=C.UTF-8']),
      '--data-checksums',
      // A new segment of the log is made while everybody waits: four short waits in the place of each long one.
      '--wal-segsize=4',
      '--no-instructions',
    ]);
  } finally {
    rmSync(secretFolder, { recursive: true, force: true });
  }
  renameSync(draft, run.data);
}
