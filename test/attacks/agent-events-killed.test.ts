import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { enrol } from '../../src/agent/enrol.ts';
import { loadDeviceKey } from '../../src/agent/keys.ts';
import { openOutbox } from '../../src/agent/outbox.ts';
import { createReporter } from '../../src/agent/report.ts';
import { createSignIn } from '../../src/agent/sign-in.ts';
import { startTestBroker } from '../agent/support/test-broker.ts';

const dyingAgent = fileURLToPath(new URL('../agent/support/dying-agent.ts', import.meta.url));

interface Outcome {
  /** What it let happen before it was killed. */
  readonly happened: readonly string[];
  readonly isWhole: boolean;
  readonly told: readonly string[];
  readonly causes: readonly unknown[];
}

/** An agent is killed with SIGKILL at that step of its writing, and the next start tells what is left. */
async function killedAt(step: number, when: 'before' | 'after'): Promise<Outcome> {
  const broker = await startTestBroker();
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-killed-'));
  try {
    const where = { brokerUrl: broker.url, stateDirectory: directory, code: broker.code, facts: {} };
    const { device, issuer } = await enrol(where);
    const child = spawn(process.execPath, [dyingAgent, directory, issuer, device, String(step), when], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (data: Buffer) => (said += data.toString()));
    const [code, signal] = await once(child, 'close');
    const lines = said.split('\n').filter((line) => line !== '');
    const isWhole = lines.at(-1) === 'whole';
    assert.deepEqual([code, signal], isWhole ? [0, null] : [null, 'SIGKILL']);
    const key = await loadDeviceKey(directory);
    const signIn = createSignIn({ issuer, device, key });
    const reporter = createReporter({ issuer, device, key, signIn, outbox: openOutbox(directory), now: Date.now });
    await reporter.recover(null);
    await reporter.stop(10_000);
    const again = openOutbox(directory);
    assert.equal(again.size().events, 0, 'all is told, and nothing is promised any more');
    again.close();
    return {
      happened: lines.filter((line) => line !== 'whole'),
      isWhole,
      told: broker.events.map(({ type }) => String(type)),
      causes: broker.events.flatMap(({ type, cause }) => (type === 'session.ended' ? [cause] : [])),
    };
  } finally {
    await broker.close();
    await rm(directory, { recursive: true });
  }
}

test('whenever an agent is killed, what it let happen is told once, in order, and each session has one end', async () => {
  let isOver = false;
  let kills = 0;
  for (let step = 0; !isOver; step++) {
    assert.ok(step < 30, 'it never came to its end');
    const outcomes = await Promise.all([killedAt(step, 'before'), killedAt(step, 'after')]);
    for (const { happened, isWhole, told, causes } of outcomes) {
      const at = `step ${step}: ${told.join(' ')}`;
      if (told.length > 0) {
        assert.deepEqual([told[0], told.at(-1)], ['session.started', 'session.ended'], at);
        assert.deepEqual(told.slice(1, -1), told.length > 2 ? ['action.performed'] : [], at);
        assert.equal(causes.length, 1, at);
      }
      const count = (names: readonly string[], type: string) => names.filter((name) => name === type).length;
      for (const type of ['session.started', 'action.performed']) {
        const [done, said] = [count(happened, type), count(told, type)];
        // At most what was about to be let happen is told beside what was.
        assert.ok(said === done || said === done + 1, at);
      }
      isOver ||= isWhole;
      kills += isWhole ? 0 : 1;
    }
  }
  assert.ok(kills >= 8, `only ${kills} kills`);
});
