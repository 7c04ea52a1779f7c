import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A Chromium that can be started, and what it needs around it. */
export interface ChromiumProgram {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

const installed = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Finds out where one Chromium is, which may first have to be unpacked. */
export type Candidate = () => Promise<ChromiumProgram>;

/** Every Chromium that this machine may have, the one that came with the packages first: it is the same everywhere. */
export function chromiumCandidates(): Candidate[] {
  const own = process.platform === 'linux' && process.arch === 'x64' ? [unpacked] : [];
  const others = installed.filter((path) => existsSync(path)).map((path) => async () => ({ path, env: {} }));
  return [...own, ...others];
}

/** The packed Chromium with the libraries and the font that a machine with only Node.js lacks, unpacked once. */
async function unpacked(): Promise<ChromiumProgram> {
  const manifest = new URL('../package.json', import.meta.resolve('@sparticuz/chromium'));
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const cache = fileURLToPath(new URL('../../../node_modules/.cache', import.meta.url));
  const folder = join(cache, `chromium-${version}`);
  if (!existsSync(folder)) await unpackInto(folder);
  return {
    path: join(folder, 'chromium'),
    env: { LD_LIBRARY_PATH: join(folder, 'al2023/lib'), FONTCONFIG_FILE: join(folder, 'fonts.conf') },
  };
}

/** If we stop half-way, what is unfinished lies beside, and the next run unpacks again. */
async function unpackInto(folder: string): Promise<void> {
  await mkdir(join(folder, '..'), { recursive: true });
  const unfinished = mkdtempSync(`${folder}.`);
  try {
    const program = fileURLToPath(new URL('unpack.ts', import.meta.url));
    await promisify(execFile)(process.execPath, [program], { env: { TMPDIR: unfinished } });
    writeFileSync(join(unfinished, 'fonts.conf'), fonts(folder));
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    // Another run may have been faster.
    if (!existsSync(folder)) throw error;
  }
}

function fonts(folder: string): string {
  return `<?xml version="1.0"?>
<fontconfig><dir>${folder}/fonts</dir><cachedir>${folder}/fonts-cache</cachedir><config></config></fontconfig>
`;
}
