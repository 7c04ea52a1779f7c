import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, paint, type Stage } from './demo-stage.ts';
import type { World, WorldOptions } from './world.ts';

/** A Key Vault on loopback that the story can take away and bring back. */
export interface DemoVault {
  /** What the world is started with, so that its secrets are in this vault. */
  readonly world: Pick<WorldOptions, 'keyVault' | 'keys'>;
  /** The environment in which a command of an operator's finds the vault. */
  readonly environment: Readonly<Record<string, string>>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** How long a published key waits before it signs is minutes; nobody watches a demo for that long. */
export const briefly = { lead: 8_000, overlap: 60_000 };

interface Scene {
  readonly stage: Stage;
  readonly world: World;
  readonly directory: string;
  readonly vault: DemoVault;
  /** Which key signs a credential now. */
  readonly kid: () => Promise<string>;
}

/** Replaces the key that signs credentials, and takes the vault away, while somebody works; and shows that it goes on. */
export async function changeVault({ stage, world, directory, vault, kid }: Scene): Promise<void> {
  stage.step('The key that signs credentials is replaced in the Key Vault while Ada’s session runs');
  const first = await kid();
  const command = ['keys', 'rotate', 'credential', '--config', join(directory, 'config.json')];
  console.log(`   ${paint(36, 'olu $')} latchkey ${command.slice(0, 3).join(' ')} --config config.json`);
  const main = fileURLToPath(new URL('../main.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...command], {
    env: { ...process.env, ...vault.environment },
  });
  console.log(stdout.replaceAll(/^(?=.)/gm, '   ').trimEnd());
  const deadline = performance.now() + 30_000;
  while ((await kid()) === first) {
    expect(performance.now() < deadline, 'the new key did not sign');
    await sleep(250);
  }
  console.log(`   ${paint(2, 'the new key signs; the session goes on, and so does a new one')}`);
  await stage.expectExit(0, 'ada', 'run', 'boardroom', 'device.inspect');

  stage.step('The vault goes away: what is loaded goes on, and the broker says what it misses');
  await vault.stop();
  await stage.expectExit(0, 'ada', 'run', 'boardroom', 'device.inspect');
  const missing = async (): Promise<readonly string[]> => {
    const response = await fetch(`${world.url}/readyz`);
    expect(response.status === 200, 'the broker takes no traffic');
    return ((await response.json()) as { missing: string[] }).missing;
  };
  const noticed = performance.now() + 45_000;
  while (!(await missing()).includes('vault')) {
    expect(performance.now() < noticed, 'the broker did not say that its vault is away');
    await sleep(250);
  }
  console.log(`   GET /readyz   200   "missing": ${JSON.stringify(await missing())}`);
  await stage.expectExit(0, 'ada', 'run', 'boardroom', 'device.inspect');
  await vault.start();
  while ((await missing()).length > 0) {
    expect(performance.now() < noticed + 45_000, 'the broker did not find its vault again');
    await sleep(250);
  }
  console.log('   GET /readyz   200   "missing": []');
}
