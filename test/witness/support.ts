import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatAddCheckpoint } from '../../src/ledger/add-checkpoint.ts';
import { signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { formatVkey, parseVkey, type VerifierKey } from '../../src/ledger/vkey.ts';
import type { WitnessConfig } from '../../src/witness/config.ts';
import { startWitness, type RunningWitness } from '../../src/witness/start.ts';
import { naiveTree } from '../support/naive-tree.ts';

/** A ledger in memory, that says of itself whatever a test wants it to. */
export interface TestLog {
  readonly origin: string;
  readonly vkey: string;
  readonly key: VerifierKey;
  readonly privateKey: KeyObject;
  /** The signed checkpoint of the first `size` entries; of another history where `history` is another. */
  checkpoint(size: number, history?: string): string;
  proof(from: number, to: number, history?: string): Uint8Array[];
  /** The body of an honest call, or of one that is not. */
  body(old: number, size: number, history?: string): string;
}

export function newTestLog(origin = 'ledger.test/eu', pair = generateKeyPairSync('ed25519')): TestLog {
  const { privateKey, publicKey } = pair;
  const vkey = formatVkey(origin, 'ed25519', Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url'));
  /** Histories share their first three entries. */
  const tree = (size: number, history: string) =>
    naiveTree(Array.from({ length: size }, (_, i) => Buffer.from(i < 3 ? `entry ${i}` : `${history} ${i}`)));
  const checkpoint: TestLog['checkpoint'] = (size, history = 'entry') =>
    signCheckpoint({ origin, size, root: tree(size, history).root(size) }, privateKey);
  const proof: TestLog['proof'] = (from, to, history = 'entry') =>
    from === 0 ? [] : tree(to, history).consistency(from, to);
  return {
    origin,
    vkey,
    key: parseVkey(vkey),
    privateKey,
    checkpoint,
    proof,
    body: (old, size, history) =>
      formatAddCheckpoint({
        old,
        proof: old <= size ? proof(old, size, history) : [],
        checkpoint: checkpoint(size, history),
      }),
  };
}

export interface TestWitness extends RunningWitness {
  readonly directory: string;
  readonly key: VerifierKey;
  readonly lines: object[];
  add(body: string | Buffer): Promise<{ status: number; body: string; type: string | null }>;
  restart(): Promise<TestWitness>;
  remove(): Promise<void>;
}

const name = 'witness.test/w1';

/** A witness in this process, on loopback. */
export async function newTestWitness(
  logs: readonly Pick<TestLog, 'origin' | 'key'>[],
  given?: string,
  port = 0,
): Promise<TestWitness> {
  const directory = given ?? (await mkdtemp(join(tmpdir(), 'latchkey-witness-')));
  const lines: object[] = [];
  const say = (fields: object, message: string) => void lines.push({ message, ...fields });
  const config: WitnessConfig = {
    listen: { host: '127.0.0.1', port },
    name,
    state: directory,
    logs: new Map(logs.map(({ origin, key }) => [origin, [key]])),
  };
  const running = await startWitness(config, { info: say, warn: say, error: say });
  return {
    ...running,
    directory,
    key: parseVkey(running.vkey),
    lines,
    add: (body) => addCheckpoint(running.url, body),
    async restart() {
      await running.stop();
      return newTestWitness(logs, directory);
    },
    async remove() {
      await running.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export async function addCheckpoint(url: string, body: string | Buffer) {
  const response = await fetch(`${url}/add-checkpoint`, {
    method: 'POST',
    body: new Uint8Array(typeof body === 'string' ? Buffer.from(body) : body),
  });
  return { status: response.status, body: await response.text(), type: response.headers.get('content-type') };
}
