import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startSimulatedRoom, type SimulatedRoom } from '../../src/development/simulated-room.ts';
import { newEngineer, type Engineer } from './support/engineer.ts';
import { startTestBroker, type TestBroker } from './support/test-broker.ts';

const scopes = [
  'device.inspect',
  'device.reboot',
  'usb.reset',
  'app.restart',
  'logs.collect:system',
  'logs.collect:identity',
  'software.update',
  'session.remote-admin',
];
const model = { name: 'Room Amber 4.12', serial: 'PN-4477', make: 'Contoso', model: 'Panel 27' };

describe('a simulated room', () => {
  let broker: TestBroker;
  let directory: string;
  let room: SimulatedRoom;
  let engineer: Engineer;
  let path: string;
  let credential: string;
  const options = () => ({ ...model, brokerUrl: broker.url, stateDirectory: directory });

  before(async () => {
    broker = await startTestBroker();
    directory = await mkdtemp(join(tmpdir(), 'latchkey-room-'));
    room = await startSimulatedRoom({ ...options(), enrolmentCode: broker.code });
    engineer = await newEngineer(broker, scopes);
    await broker.push([engineer.listed()]);
    credential = await engineer.credential();
    path = await engineer.openSoon(room.doorUrl, credential);
  });
  after(async () => {
    await room.stop();
    await broker.close();
    await rm(directory, { recursive: true });
  });

  async function run(scope: string, args: object = {}) {
    const call = { method: 'POST', path: `${path}/actions/${scope}`, credential, body: { args } };
    const { lines, status, text } = await engineer.call(room.doorUrl, call);
    assert.equal(status, 200, text);
    const output = lines
      .map(({ data }) => Buffer.from(typeof data === 'string' ? data : '', 'base64').toString())
      .join('');
    return { output, exit: lines.at(-1)!['exit'] };
  }

  it('tells the broker its facts and where its door is before it says that it is ready', () => {
    const [state] = broker.states as [{ facts: Record<string, unknown>; door: unknown; inUse: boolean }];
    assert.equal(room.deviceId, broker.device);
    assert.deepEqual(state.door, { url: room.doorUrl, certificateSha256: null });
    assert.equal(state.inUse, false);
    assert.equal(state.facts['serial'], 'PN-4477');
    assert.equal(state.facts['hostname'], 'room-amber-4-12');
  });

  it('prints its facts as JSON', async () => {
    const { output, exit } = await run('device.inspect');
    assert.equal(exit, 0);
    assert.partialDeepStrictEqual(JSON.parse(output), { serial: 'PN-4477', make: 'Contoso', model: 'Panel 27' });
  });

  it('loses its uptime by a reboot, finds its USB devices anew, and tells the broker', async () => {
    const before = broker.states.length;
    const { output } = await run('device.reboot');
    assert.match(output, /back, uptime [012] s/);
    const { uptimeSeconds } = JSON.parse((await run('device.inspect')).output) as { uptimeSeconds: number };
    assert.ok(uptimeSeconds < 10);
    assert.ok(broker.states.length > before);
  });

  it('finds one USB device under a new address after its reset, and refuses one it does not have', async () => {
    const usb = async () => (JSON.parse((await run('device.inspect')).output) as { usb: string[] }).usb;
    const [camera, ...others] = await usb();
    assert.equal((await run('usb.reset', { device: 'Conference camera 4K' })).exit, 0);
    const [cameraAfter, ...othersAfter] = await usb();
    assert.notEqual(cameraAfter, camera);
    assert.deepEqual(othersAfter, others);
    assert.equal((await run('usb.reset', { device: 'Toaster' })).exit, 64);
  });

  it('shows as many log lines as asked for', async () => {
    const { output } = await run('logs.collect:system', { lines: 5 });
    assert.equal(output.trim().split('\n').length, 5);
    assert.equal((await run('logs.collect:system', { lines: 0 })).exit, 64);
    assert.match((await run('logs.collect:identity')).output, /left out by the device/);
  });

  it('restarts its app, updates it, and shows the new version', async () => {
    assert.equal((await run('app.restart')).exit, 0);
    assert.equal((await run('software.update', { version: 'latest; reboot' })).exit, 64);
    assert.match((await run('software.update', { version: '6.0.1' })).output, /6\.0\.1: installed/);
    assert.match((await run('session.remote-admin', { command: 'version' })).output, /6\.0\.1/);
  });

  it('has a few commands and no shell', async () => {
    assert.equal((await run('session.remote-admin', { command: 'echo $(id); ls' })).output, '$(id); ls\n');
    assert.equal((await run('session.remote-admin', { command: 'sh' })).exit, 127);
  });

  it('goes on with an action until its grant ends', async () => {
    const call = { method: 'POST', path: `${path}/actions/logs.collect:system`, credential };
    const begun = Promise.withResolvers<void>();
    const following = engineer.call(room.doorUrl, {
      ...call,
      body: { args: { lines: 1, follow: true } },
      onText: () => begun.resolve(),
    });
    await begun.promise;
    await broker.push([]);
    assert.deepEqual((await following).lines.at(-1), { ended: 'grant-not-live' });
  });

  it('is the same device behind the same door after a restart, without a code', async () => {
    const { deviceId, doorUrl } = room;
    await room.stop();
    room = await startSimulatedRoom(options());
    assert.equal(broker.calls.get('POST /v1/devices'), 1);
    assert.deepEqual([room.deviceId, room.doorUrl], [deviceId, doorUrl]);
    const facts = broker.states.at(-1) as { facts: { appVersion: string } };
    assert.equal(facts.facts.appVersion, '6.0.1');
  });

  it('keeps everything it must not lose or tell readable by itself alone', async () => {
    for (const name of ['device-key.json', 'device.json', 'live-grants.json', 'door.json']) {
      assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600, name);
    }
  });
});
