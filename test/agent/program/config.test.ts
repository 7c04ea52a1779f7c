import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AgentConfigError, parseAgentConfig, readAgentConfig } from '../../../src/agent/program/config.ts';

const inspect = {
  description: 'what the device is',
  dataClass: 'System Metadata',
  command: ['latchkey:inspect'],
  timeLimit: 'PT1M',
};
const whole = {
  brokerUrl: 'https://latchkey.example',
  stateDirectory: '/var/lib/latchkey-agent',
  door: { host: '0.0.0.0', port: 7443, url: 'https://10.20.0.4:7443' },
  actions: { 'device.inspect': inspect },
};

/** What is wrong, a line a mistake. */
async function mistakesOf(config: unknown): Promise<string[]> {
  try {
    await parseAgentConfig(config);
    return [];
  } catch (error) {
    assert.ok(error instanceof AgentConfigError);
    return error.mistakes.map(({ pointer, message }) => `${pointer}: ${message}`);
  }
}

const ofAction = (changes: object) => mistakesOf({ ...whole, actions: { 'app.test': { ...inspect, ...changes } } });

describe('the configuration of an agent', () => {
  it('has a door with TLS unless its address says otherwise, and no default for anything that matters', async () => {
    const config = await parseAgentConfig(whole);
    assert.deepEqual(config.door, { ...whole.door, hasTls: true });
    const loopback = { host: '127.0.0.1', port: 7443, url: 'http://127.0.0.1:7443' };
    assert.equal((await parseAgentConfig({ ...whole, door: loopback })).door.hasTls, false);
    assert.deepEqual(await mistakesOf({}), [
      '/brokerUrl: is missing',
      '/stateDirectory: is missing',
      '/door: is missing',
      '/actions: is missing, and so is `actionSets`: there would be nothing to do',
    ]);
  });

  it('tells every mistake at once, each at its place, and knows no member that it does not know', async () => {
    const wrong = {
      ...whole,
      brokerUrl: 'http://latchkey.example',
      surprise: true,
      door: { ...whole.door, url: 'http://10.20.0.4:7443' },
      witnesses: { keys: ['nonsense'], needed: 2 },
      enrolmentCode: 'a',
      enrolmentCodeFile: 'b',
    };
    const pointers = (await mistakesOf(wrong)).map((line) => line.split(':', 1)[0]!);
    assert.deepEqual(pointers.sort(), [
      '/brokerUrl',
      '/door/host',
      '/enrolmentCodeFile',
      '/surprise',
      '/witnesses/keys/0',
      '/witnesses/needed',
    ]);
  });

  it('has an address that can be called, and none in the clear from elsewhere', async () => {
    const door = async (changes: object) => mistakesOf({ ...whole, door: { host: '0.0.0.0', port: 1, ...changes } });
    assert.deepEqual(await door({}), ['/door/url: is missing: nobody can call `0.0.0.0`']);
    for (const url of [
      'https://a.example/path',
      'ftp://a.example',
      'https://u:p@a.example',
      'https://a.example?x',
      'x',
    ]) {
      assert.equal((await door({ url })).length, 1, url);
    }
    assert.match(String(await door({ host: '127.0.0.1', url: 'http://a.example' })), /must be on loopback/);
  });

  it('takes sets of actions, and what it declares itself comes before what they declare', async () => {
    const own = {
      ...whole,
      actionSets: ['latchkey:linux'],
      actions: { 'app.restart': { ...inspect, description: 'mine' } },
    };
    const { actions } = await parseAgentConfig(own);
    assert.equal(actions.get('app.restart')?.description, 'mine');
    assert.equal(actions.size, 6);
    const [mistake] = await mistakesOf({ ...whole, actionSets: ['latchkey:linux'] });
    assert.match(mistake!, /^\/actionSets\/0: `latchkey:linux`, at `\/actions\/app.restart\/.*`\{\$roomApp\}` needs/);
  });

  it('comes with sets for which nothing but the room’s app has to be said', async () => {
    for (const set of ['latchkey:linux', 'latchkey:windows']) {
      const { actions } = await parseAgentConfig({ ...whole, actionSets: [set], values: { roomApp: 'room-app' } });
      assert.deepEqual([...actions.keys()].sort(), [
        'app.restart',
        'device.inspect',
        'device.reboot',
        'logs.collect:system',
        'software.update',
        'usb.reset',
      ]);
    }
  });
});

describe('a declared action', () => {
  it('names a program, and none that would read an argument as commands', async () => {
    const refused: [unknown[], RegExp][] = [
      [['reboot'], /absolute path/],
      [['latchkey:nonsense'], /there is no `latchkey:nonsense`/],
      [['/bin/sh', '-c', 'reboot'], /is a shell/],
      [['/usr/bin/bash', '/opt/script'], /is a shell/],
      [['C:\\Windows\\System32\\cmd.exe', '/c', 'dir'], /is a shell/],
      [['C:\\tools\\run.bat'], /batch file/],
      [['{name}'], /the program is fixed/],
      [[{ if: 'name', arguments: ['x'] }], /the program is fixed/],
      [['C:\\ps\\pwsh.exe', '-Command', 'Restart-Service {name}'], /reads its arguments as commands/],
      [['C:\\ps\\pwsh.exe', '-Name', '{name}', '-File', 'x.ps1'], /reads its arguments as commands/],
    ];
    const name = { type: 'text', description: 'a name', pattern: '[a-z]+', required: true };
    for (const [command, message] of refused) {
      const mistakes = await ofAction({ command, parameters: { name } });
      assert.match(mistakes[0] ?? 'nothing', message);
      assert.match(mistakes[0]!, /^\/actions\/app\.test\/command\/0: /);
    }
    const file = ['C:\\ps\\pwsh.exe', '-NoProfile', '-File', 'x.ps1', '-Name', '{name}'];
    assert.deepEqual(await ofAction({ command: file, parameters: { name } }), []);
  });

  it('says of every parameter what it may be, and uses only those that are there', async () => {
    const text = { type: 'text', description: 'x' };
    const cases: [object, unknown, RegExp][] = [
      [text, 'x', /either `pattern` or `values`/],
      [{ ...text, pattern: 'a', values: ['a'] }, 'x', /either `pattern` or `values`/],
      [{ ...text, pattern: '(' }, 'x', /is not a regular expression/],
      [{ ...text, values: ['--all'] }, 'x', /may not begin with a hyphen/],
      [{ ...text, pattern: 'a', default: 'b' }, 'x', /is not a value that the parameter takes/],
      [{ ...text, pattern: 'a', under: '/var' }, 'x', /says nothing about a parameter of type `text`/],
      [{ ...text, type: 'integer', minimum: 1 }, 'x', /needs `minimum` and `maximum`/],
      [{ ...text, type: 'integer', minimum: -1, maximum: 1 }, 'x', /minimum: must be >= 0/],
      [{ ...text, type: 'path', under: 'logs' }, 'x', /the absolute directory/],
      [{ ...text, pattern: 'a' }, '{p}', /may be absent/],
      [{ ...text, pattern: 'a' }, '{q}', /is no parameter/],
      [{ ...text, pattern: 'a' }, { if: 'q', arguments: ['x'] }, /is no parameter/],
      [{ ...text, pattern: 'a' }, '{ p}', /a brace that names nothing/],
      [{ ...text, pattern: 'a' }, '{$nothing}', /needs a text of that name in `values`/],
      [{ ...text, type: 'boolean' }, '{p}', /is true or false/],
    ];
    for (const [parameter, template, message] of cases) {
      const mistakes = await ofAction({ command: ['latchkey:inspect', template], parameters: { p: parameter } });
      assert.match(mistakes.join('\n') || 'nothing', message);
    }
  });

  it('has a time limit of up to a day', async () => {
    for (const timeLimit of ['PT0S', 'P2D', '1h']) assert.match(String(await ofAction({ timeLimit })), /timeLimit: /);
  });
});

describe('the file of a configuration', () => {
  let directory: string;
  let file: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-config-'));
    file = join(directory, 'agent.json');
  });
  after(() => rm(directory, { recursive: true }));

  it('that is not there, no JSON, says a thing twice, or can be changed by everybody is refused', async () => {
    await assert.rejects(readAgentConfig(file), /cannot be read \(ENOENT\)/);
    await writeFile(file, '{');
    await assert.rejects(readAgentConfig(file), /is not JSON/);
    await writeFile(file, '{"brokerUrl":"a","brokerUrl":"b"}');
    await assert.rejects(readAgentConfig(file), /names a member twice/);
    await writeFile(file, JSON.stringify(whole));
    assert.equal((await readAgentConfig(file)).brokerUrl, whole.brokerUrl);
    await chmod(file, 0o666);
    await assert.rejects(readAgentConfig(file), /can be changed by every user/);
  });
});
