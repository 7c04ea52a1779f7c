import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startAgent } from '../../src/agent/index.ts';
import { createState, readState, writeState } from '../../src/agent/state-directory.ts';
import { startTestBroker, type TestBroker } from './support/test-broker.ts';

describe('the state directory', () => {
  let directory: string;
  let broker: TestBroker;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
    broker = await startTestBroker();
  });
  after(async () => {
    await broker.close();
    await rm(directory, { recursive: true });
  });

  it('is made when it is not there, for its owner alone', async () => {
    const place = join(directory, 'made');
    await writeState(place, 'file.json', { a: 1 });
    assert.equal((await stat(place)).mode & 0o777, 0o700);
    assert.equal((await stat(join(place, 'file.json'))).mode & 0o777, 0o600);
    assert.deepEqual(await readState(place, 'file.json'), { a: 1 });
    assert.equal(await readState(place, 'other.json'), null);
  });

  it('leaves one whole file of many writes at once, and nothing beside it', async () => {
    const place = join(directory, 'busy');
    const values = Array.from({ length: 20 }, (_, index) => ({ index, padding: 'x'.repeat(50_000) }));
    await Promise.all(values.map((value) => writeState(place, 'file.json', value)));
    const { index } = (await readState(place, 'file.json')) as { index: number };
    assert.ok(index >= 0 && index < 20);
    assert.deepEqual(await readdir(place), ['file.json']);
  });

  it('keeps the first of many that create a file at once', async () => {
    const place = join(directory, 'first');
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, index) => createState(place, 'file.json', { index })),
    );
    assert.equal(made.filter(Boolean).length, 1);
    assert.deepEqual(await readState(place, 'file.json'), { index: made.indexOf(true) });
    assert.deepEqual(await readdir(place), ['file.json']);
  });

  it('with a broken record of the live grants seen keeps the agent from starting, rather than forgetting them', async () => {
    const options = {
      brokerUrl: broker.url,
      stateDirectory: directory,
      enrolmentCode: broker.code,
      actions: new Map(),
    };
    const start = () => startAgent({ ...options, facts: () => ({}), inUse: () => false });
    await (await start()).stop();
    for (const text of ['', 'null', '{}', '7', '{"version":"1","iat":2}', '{"version":1']) {
      await writeFile(join(directory, 'live-grants.json'), text);
      await assert.rejects(start(), { name: 'StateError' }, text);
    }
    assert.equal(broker.calls.get('GET /v1/agent/stream'), 1);
  });
});
