import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openOutbox, type Outbox, type Owed, type Waiting } from '../../src/agent/outbox.ts';
import { newId } from '../../src/domain/ids.ts';
import { hasSmallDisks, newSmallDisk } from '../support/small-disk.ts';

const [session, grant] = [newId('session', 0), newId('grant', 0)];
const waiting = (): Waiting => ({ id: newId('event', 0), type: 'session.started', statement: 'x'.repeat(700) });
const owed = (): Owed => ({
  id: newId('event', 0),
  at: 1_234.5,
  event: { type: 'session.ended', session, grant, cause: 'agent-died', lagMs: 0 },
});
const idsIn = (outbox: Outbox): string[] => outbox.first(100_000, 1e9).map(({ id }) => id);

let directory: string;
let outbox: Outbox;
const logged: string[] = [];
const reopen = (): void => {
  outbox.close();
  outbox = openOutbox(directory, (message) => logged.push(message));
};
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-outbox-'));
  outbox = openOutbox(directory);
  logged.length = 0;
});
afterEach(async () => {
  outbox.close();
  await rm(directory, { recursive: true });
});

describe('an outbox', () => {
  it('has what was written, in order, also after a restart', () => {
    const [one, two, three] = [waiting(), waiting(), waiting()];
    const debt = owed();
    outbox.write([{ tell: one }, { owe: debt }]);
    outbox.write([{ tell: two }]);
    outbox.write([{ tell: three }]);
    reopen();
    assert.deepEqual(idsIn(outbox), [one.id, two.id, three.id]);
    assert.deepEqual(outbox.owed(), [debt]);
    assert.deepEqual({ ...outbox.size() }, { events: 4, bytes: 2_100 + JSON.stringify(debt.event).length });
  });

  it('owes no longer what is told, and forgets what was', () => {
    const debt = owed();
    const telling = { ...waiting(), id: debt.id };
    outbox.write([{ tell: waiting() }, { owe: debt }]);
    outbox.write([{ tell: telling }]);
    assert.deepEqual(outbox.owed(), []);
    outbox.told(outbox.first(1, 1e9));
    reopen();
    assert.deepEqual(idsIn(outbox), [telling.id]);
    outbox.write([{ owe: owed() }]);
    outbox.write([{ settle: outbox.owed()[0]!.id }]);
    assert.deepEqual(outbox.owed(), []);
  });

  it('writes all of something or nothing', () => {
    const one = waiting();
    assert.throws(() => outbox.write([{ tell: waiting() }, { owe: owed() }, { tell: one }, { tell: one }]));
    assert.deepEqual([idsIn(outbox), outbox.owed()], [[], []]);
    outbox.write([{ tell: one }]);
    assert.deepEqual(idsIn(outbox), [one.id]);
  });

  it('gives no more at once than is asked for, but always one', () => {
    outbox.write([1, 2, 3, 4].map(() => ({ tell: waiting() })));
    assert.equal(outbox.first(3, 1e9).length, 3);
    assert.equal(outbox.first(50, 1_500).length, 2);
    assert.equal(outbox.first(50, 1).length, 1);
  });

  it('is one agent’s at a time', async () => {
    assert.throws(() => openOutbox(directory), /another agent’s|another agent's/);
    const path = fileURLToPath(new URL('../../src/agent/outbox.ts', import.meta.url));
    const script = `const { openOutbox } = await import(${JSON.stringify(path)}); openOutbox(${JSON.stringify(directory)});`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
    assert.deepEqual(await once(child, 'exit'), [1, null]);
    outbox.write([{ tell: waiting() }]);
    reopen();
    assert.equal(outbox.size().events, 1);
  });

  it('is no other user’s to read', { skip: process.platform === 'win32' }, () => {
    outbox.write([{ tell: waiting() }]);
    for (const name of ['outbox.db', 'outbox.db-journal']) {
      assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600, name);
    }
  });

  it('has all that it returned from when the process is killed, whenever that is', async () => {
    outbox.close();
    const path = fileURLToPath(new URL('../../src/agent/outbox.ts', import.meta.url));
    const script = `
      import { writeSync } from 'node:fs';
      const { openOutbox } = await import(${JSON.stringify(path)});
      const outbox = openOutbox(${JSON.stringify(directory)});
      for (let n = 0; ; n++) {
        outbox.write([{ tell: { id: 'evt_' + n, type: 'session.started', statement: 'x'.repeat(900) } }]);
        writeSync(1, n + '\\n');
      }`;
    for (let round = 0; round < 3; round++) {
      await rm(join(directory, 'outbox.db'), { force: true });
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (data: Buffer) => {
        said += data.toString();
        if (said.split('\n').length > 5 + round * 3) child.kill('SIGKILL');
      });
      await once(child, 'close');
      outbox = openOutbox(directory);
      const written = said.trim().split('\n').length;
      const there = idsIn(outbox);
      assert.ok(there.length === written || there.length === written + 1, `${written} written, ${there.length} there`);
      assert.deepEqual(
        there,
        there.map((_, n) => `evt_${n}`),
      );
      outbox.close();
    }
    outbox = openOutbox(directory);
  });
});

describe('a damaged outbox', () => {
  const path = () => join(directory, 'outbox.db');
  const damages: Readonly<Record<string, () => void>> = {
    'cut off': () => truncateSync(path(), statSync(path()).size - 5_000),
    'cut off within its first page': () => truncateSync(path(), 1_000),
    'overwritten in the middle': () => {
      const bytes = readFileSync(path());
      bytes.fill(0xa5, 40_000, 60_000);
      writeFileSync(path(), bytes);
    },
    'overwritten from the beginning': () => writeFileSync(path(), 'not what it was'.repeat(1_000)),
  };
  for (const [how, damage] of Object.entries(damages)) {
    it(`that was ${how} is put aside, and what can be read of it goes on`, () => {
      const all = Array.from({ length: 100 }, waiting);
      outbox.write(all.map((tell) => ({ tell })));
      outbox.close();
      damage();
      outbox = openOutbox(directory, (message) => logged.push(message));
      assert.deepEqual(logged, ['what was to be told was damaged on the disk']);
      assert.ok(existsSync(join(directory, 'outbox.damaged.db')));
      const saved = idsIn(outbox);
      const known = all.map(({ id }) => String(id)).filter((id) => saved.includes(id));
      assert.deepEqual(saved, known, 'nothing made up, and in order');
      const next = waiting();
      outbox.write([{ tell: next }]);
      reopen();
      assert.deepEqual(idsIn(outbox), [...saved, next.id]);
    });
  }

  it('whose pages are whole, but not what is on them, keeps nobody out', async () => {
    const [first, spoilt, last] = [owed(), owed(), owed()];
    outbox.write([first, spoilt, last].map((owe) => ({ owe })));
    outbox.close();
    const db = new DatabaseSync(path());
    db.prepare('UPDATE owed SET event = ? WHERE id = ?').run('{"type":', spoilt.id);
    db.close();
    outbox = openOutbox(directory, (message) => logged.push(message));
    assert.deepEqual(logged, ['what was to be told was damaged on the disk']);
    assert.deepEqual(outbox.owed(), [first, last]);
  });

  it('that is empty is one that has nothing to tell', () => {
    outbox.close();
    writeFileSync(path(), '');
    outbox = openOutbox(directory, (message) => logged.push(message));
    assert.deepEqual([idsIn(outbox), logged], [[], []]);
  });

  it('that cannot be opened is not taken for one that is not there', async () => {
    outbox.close();
    await rm(path());
    await rm(`${path()}-journal`, { force: true });
    writeFileSync(join(directory, 'somewhere'), '');
    assert.throws(() => openOutbox(join(directory, 'somewhere')));
  });
});

describe('an outbox on a full disk', { skip: !hasSmallDisks && 'needs root, to mount a disk' }, () => {
  it('takes nothing more, loses nothing, can be emptied, and then takes more', async () => {
    const disk = await newSmallDisk(500_000);
    try {
      let full = openOutbox(join(disk.path, 'state'));
      full.write([{ tell: waiting() }]);
      disk.fill();
      let count = 1;
      assert.throws(() => {
        for (; count < 1_000; count++) full.write([{ tell: waiting() }, { owe: owed() }]);
      }, /full/);
      assert.equal(full.size().events, 1 + 2 * (count - 1));
      full.close();
      full = openOutbox(join(disk.path, 'state'));
      assert.equal(full.size().events, 1 + 2 * (count - 1), 'opened on a full disk too');
      while (full.first(1, 1e9).length > 0) full.told(full.first(5, 1e9));
      full.write([{ tell: waiting() }]);
      full.close();
      full = openOutbox(join(disk.path, 'state'));
      assert.equal(full.first(100, 1e9).length, 1, 'what was told was taken out although the disk is full');
      full.close();
    } finally {
      await disk.remove();
    }
  });
});
