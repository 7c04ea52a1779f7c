import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isPassword } from '../../src/domain/local-admin.ts';
import { startSimulatedRoom, type SimulatedRoom } from '../../src/development/simulated-room.ts';
import { eventually } from '../broker/support/scenario.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';
import { jsonLinesOf, openTerminal, type Terminal, type Transcript } from './support/terminal.ts';

/** The whole way, with nothing made up but the panel: broker, ledger, vault, agent, command line. */
let broker: TestBroker;
let directory: string;
let room: SimulatedRoom;
let terminal: Terminal;
let options: Parameters<typeof startSimulatedRoom>[0];
const said: string[] = [];

before(async () => {
  broker = await newTestBroker();
  directory = await mkdtemp(join(tmpdir(), 'latchkey-secret-'));
  const { body } = await broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id });
  options = {
    name: 'oslo-3',
    serial: 'PN-3',
    make: 'Contoso',
    model: 'Panel',
    brokerUrl: broker.config.publicUrl,
    stateDirectory: join(directory, 'room'),
    log: (message, details) => void said.push(`${message} ${JSON.stringify(details)}`),
  };
  room = await startSimulatedRoom({ ...options, enrolmentCode: body.code });
  const token = await broker.issuer.tokenFor(people.ada);
  terminal = openTerminal({ LATCHKEY_URL: broker.config.publicUrl, LATCHKEY_TOKEN: token });
  await eventually(async () => (await state()).confirmed === 1);
});
after(async () => {
  await room.stop();
  terminal.clear();
  await broker.checkLedger();
  await broker.stop();
  await rm(directory, { recursive: true });
});

async function state(): Promise<{ wanted: number; confirmed: number }> {
  const { rows } = await broker.sql.query('SELECT wanted, confirmed FROM device_secrets WHERE device = $1', [
    room.deviceId,
  ]);
  return rows[0] ?? { wanted: 0, confirmed: 0 };
}
/** All that was given out has been followed by another, and the room has that. */
const settled = () =>
  eventually(async () => {
    const { rows } = await broker.sql.query(
      `SELECT 1 FROM secret_releases r JOIN grants g ON g.id = r.grant_id
       WHERE r.device = $1 AND r.rotation_ordered_at IS NULL AND g.ending IS NOT NULL`,
      [room.deviceId],
    );
    const { wanted, confirmed } = await state();
    return rows.length === 0 && wanted === confirmed;
  });
const granted = (wish = {}) => broker.grant('ada', 'release-secret', { devices: [room.deviceId], ...wish });
const passwordIn = ({ stdout, stderr }: Transcript): string => {
  const found = stdout.split(/\s+/).find(isPassword);
  assert.ok(found, `${stdout}${stderr}`);
  return found;
};
const release = async (grant: { readonly id: string }) =>
  assert.equal((await broker.call('ada', 'POST', `/v1/grants/${grant.id}/release`)).status, 200);

describe('`latchkey secret`', () => {
  it('shows the password that the room’s administrator has, once; and after the grant another one is there', async () => {
    const grant = await granted();
    const shown = await terminal.type(['secret', room.deviceId]);
    assert.equal(shown.code, 0, shown.stderr);
    const password = passwordIn(shown);
    assert.match(shown.stdout, /account roomadmin/);
    assert.ok(await room.signsIn(password));
    const again = await terminal.type(['secret', room.deviceId]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /fetched before/);
    await release(grant);
    await eventually(async () => (await state()).confirmed === 2);
    assert.ok(!(await room.signsIn(password)));
  });

  it('writes one JSON document with `--json`', async () => {
    await settled();
    const grant = await granted();
    const [document, ...others] = jsonLinesOf(await terminal.type(['secret', room.deviceId, '--json']));
    const { passwords, device, secret } = document as {
      passwords: { password: string }[];
      device: string;
      secret: string;
    };
    assert.deepEqual([device, secret, passwords.length, others], [room.deviceId, 'local-admin', 1, []]);
    assert.ok(await room.signsIn(passwords[0]!.password));
    await release(grant);
  });

  it('says what there is to ask for where no grant allows it', async () => {
    const nothing = await terminal.type(['secret', room.deviceId]);
    assert.equal(nothing.code, 1);
    assert.match(nothing.stderr, /latchkey request release-secret/);
  });

  it('puts it into the clipboard when asked, through the standard input of a program that learns nothing else', async () => {
    await settled();
    const grant = await granted();
    const [bin, seen] = [await mkdtemp(join(directory, 'bin-')), join(directory, 'clipboard')];
    const script = `#!/bin/sh\n{ cat; echo; tr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' ' ' < /proc/$$/environ; } > ${seen}\n`;
    await writeFile(join(bin, 'pbcopy'), script);
    await chmod(join(bin, 'pbcopy'), 0o755);
    const none = await terminal.type(['secret', room.deviceId, '--copy'], { env: { PATH: '/nowhere' } });
    assert.match(none.stderr, /no clipboard/);
    const copied = await terminal.type(['secret', room.deviceId, '--copy'], { env: { PATH: `${bin}:/usr/bin:/bin` } });
    assert.equal(copied.code, 0, copied.stderr);
    const [password, ...rest] = (await readFile(seen, 'utf8')).split('\n');
    assert.ok(await room.signsIn(password!));
    assert.ok(!`${copied.stdout}${copied.stderr}`.includes(password!));
    assert.ok(!rest.join().includes(password!) && !rest.join().includes('LATCHKEY'));
    await release(grant);
  });

  it('shows it all the same when the clipboard does not take it', async () => {
    await settled();
    const grant = await granted();
    const bin = await mkdtemp(join(directory, 'bin-'));
    await writeFile(join(bin, 'pbcopy'), '#!/bin/sh\nexit 1\n');
    await chmod(join(bin, 'pbcopy'), 0o755);
    const shown = await terminal.type(['secret', room.deviceId, '--copy'], { env: { PATH: `${bin}:/usr/bin:/bin` } });
    assert.match(shown.stderr, /did not take it/);
    assert.ok(await room.signsIn(passwordIn(shown)));
    await release(grant);
  });
});

it('an agent that was off sets what is wanted when it is back, and one that forgot what it has sets it again', async () => {
  await settled();
  const grant = await granted();
  const password = passwordIn(await terminal.type(['secret', room.deviceId]));
  await room.stop();
  await release(grant);
  const { wanted } = await eventually(async () => {
    const now = await state();
    return now.wanted > now.confirmed && now;
  });
  assert.ok(await room.signsIn(password));
  room = await startSimulatedRoom(options);
  await eventually(async () => (await state()).confirmed === wanted);
  assert.ok(!(await room.signsIn(password)));

  // As after a kill between setting it and writing that down: the account has it, the file does not say so.
  await room.stop();
  await rm(join(directory, 'room', 'local-admin.json'));
  await rm(join(directory, 'room', 'account.json'));
  room = await startSimulatedRoom(options);
  const next = await granted();
  await eventually(async () => {
    const shown = await readFile(join(directory, 'room', 'account.json'), 'utf8').catch(() => null);
    return shown !== null;
  });
  assert.ok(await room.signsIn(passwordIn(await terminal.type(['secret', room.deviceId]))));
  assert.deepEqual((await state()).wanted, wanted);
  await release(next);
});

it('nothing that the agent said of it holds a password', async () => {
  assert.ok(said.some((line) => line.includes('new password')));
  for (const line of said) assert.ok(!line.split(/[^A-Za-z0-9]+/).some(isPassword), line);
});
