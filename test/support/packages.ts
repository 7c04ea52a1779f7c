import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** An empty project somewhere else on the disk, so that nothing of the checkout's is found from it. */
export interface EmptyProject {
  readonly path: string;
  write(name: string, text: string): Promise<void>;
  /** Runs a module in it with the test's own Node. @returns what it writes; rejects when it fails. */
  node(...args: readonly string[]): Promise<string>;
  npm(...args: readonly string[]): Promise<string>;
  /** Takes an unpacked package, or one of the checkout's as a link, into its `node_modules`. */
  take(name: string, from: string, how: 'copy' | 'link'): Promise<void>;
  remove(): Promise<void>;
}

async function newEmptyProject(): Promise<EmptyProject> {
  const path = await mkdtemp(join(tmpdir(), 'latchkey-project-'));
  const project: EmptyProject = {
    path,
    write: (name, text) => writeFile(join(path, name), text),
    node: async (...args) => (await run(process.execPath, args, { cwd: path })).stdout,
    npm: async (...args) => (await run('npm', [...args, '--no-audit', '--no-fund'], { cwd: path })).stdout,
    async take(name, from, how) {
      const to = join(path, 'node_modules', name);
      await mkdir(dirname(to), { recursive: true });
      await (how === 'copy' ? cp(from, to, { recursive: true }) : symlink(from, to));
    },
    remove: () => rm(path, { recursive: true, force: true }),
  };
  await project.write('package.json', JSON.stringify({ name: 'somebody-else', private: true, type: 'module' }));
  return project;
}

/** Gives the work an empty project, and takes it away again. */
export async function inEmptyProject(work: (project: EmptyProject) => Promise<void>): Promise<void> {
  const project = await newEmptyProject();
  try {
    await work(project);
  } finally {
    await project.remove();
  }
}

/** A package as `npm pack` made it. */
export interface Packed {
  /** The tarball. */
  readonly file: string;
  readonly paths: readonly string[];
  /** Bytes of the tarball, and of what is in it. */
  readonly size: number;
  readonly unpackedSize: number;
}

/** Packs the package in that folder of the checkout, built first if it says so. */
export async function pack(folder: string, into: string): Promise<Packed> {
  const args = ['pack', join(root, folder), '--json', '--pack-destination', into];
  const { stdout } = await run('npm', args, { cwd: root });
  // What the scripts say comes before.
  const [packed] = Object.values(JSON.parse(stdout.slice(stdout.search(/^[[{]/m))) as Record<string, NpmPacked>);
  const { filename, files, size, unpackedSize } = packed!;
  return { file: join(into, filename), paths: files.map(({ path }) => path), size, unpackedSize };
}

interface NpmPacked {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
  readonly size: number;
  readonly unpackedSize: number;
}

/** Unpacks a tarball of npm's. @returns the folder that was packed. */
export async function unpack(tarball: string, into: string): Promise<string> {
  await run('tar', ['-xzf', tarball, '-C', into]);
  return join(into, 'package');
}

/** Refuses whoever brings nothing, and believes nobody without keys: as much as a door does in an empty project. */
export const consumer = (name: string): string => `
import { createBrokerKeys, createLiveGrants, createVerifier, openSession, Refusal, watchLiveGrants } from '${name}';
const issuer = 'http://127.0.0.1:9';
const device = 'dev_01jd0000000000000000000000';
const keys = createBrokerKeys({ jwksUri: issuer + '/.well-known/jwks.json' });
const liveGrants = createLiveGrants({ issuer, device, keys, seen: null, remember: async () => {} });
const tenant = 'ten_01jd0000000000000000000000';
const verifier = createVerifier({ issuer, device, tenant, keys, liveGrants, ledgerKey: null });
const call = { method: 'POST', url: 'http://127.0.0.1/', authorization: undefined, proof: [], scope: null };
const refusal = await verifier.verifyCredential({ ...call, receipt: [] }).catch((error) => error);
console.log(refusal instanceof Refusal, refusal.code, typeof openSession, typeof watchLiveGrants);
`;
export const itsWords = 'true no-credential function function\n';
