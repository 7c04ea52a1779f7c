import { writeSync } from 'node:fs';
import { createSignIn } from '../../../src/agent/sign-in.ts';
import { loadDeviceKey } from '../../../src/agent/keys.ts';
import { openOutbox, type Outbox } from '../../../src/agent/outbox.ts';
import { createReporter } from '../../../src/agent/report.ts';
import { newId, type DeviceId } from '../../../src/domain/ids.ts';

/**
 * A process that opens a session, does something in it and ends it, and kills itself before or after the n-th time that
 * something is written: `dying-agent.ts DIRECTORY ISSUER DEVICE N before|after`. It says what it lets happen, and
 * `whole` when it was not killed at all.
 */
const [directory, issuer, device, n, when] = process.argv.slice(2) as [string, string, DeviceId, string, string];
const say = (what: string): void => void writeSync(1, `${what}\n`);
let steps = 0;

function dieAt<T>(work: () => T): T {
  const isLast = steps++ === Number(n);
  if (isLast && when === 'before') process.kill(process.pid, 'SIGKILL');
  const result = work();
  if (isLast) process.kill(process.pid, 'SIGKILL');
  return result;
}

const kept = openOutbox(directory);
const outbox: Outbox = {
  ...kept,
  write: (changes) => dieAt(() => kept.write(changes)),
  told: (events) => dieAt(() => kept.told(events)),
};
const key = await loadDeviceKey(directory);
const signIn = createSignIn({ issuer, device, key });
const reporter = createReporter({ issuer, device, key, signIn, outbox, now: () => Date.now() });
const [session, grant] = [newId('session', Date.now()), newId('grant', Date.now())];
const ended = { type: 'session.ended', session, grant, cause: 'agent-died', lagMs: 0 } as const;
const performed = {
  type: 'action.performed',
  session,
  grant,
  scope: 'device.inspect',
  exit: null,
  durationMs: 0,
  bytes: 0,
  args: null,
} as const;

const open = await reporter.promise(ended, {
  type: 'session.started',
  session,
  grant,
  person: newId('person', Date.now()),
  credential: 'A'.repeat(43),
  credentialId: newId('credential', Date.now()),
  scopes: ['device.inspect'],
  receiptIndex: 0,
  checkpoint: { size: 1, root: 'A'.repeat(43) },
});
say('session.started');
const action = await reporter.promise(performed);
say('action.performed');
await action.keep({ ...performed, exit: 0 });
await open.keep({ ...ended, cause: 'closed' });
await reporter.stop(5_000);
say('whole');
