import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { collectLogs, type LogWish } from '../../../src/agent/linux/collect-logs.ts';
import { linesOf, timeOf } from '../../../src/agent/linux/log-lines.ts';
import { openTools } from '../../../src/agent/linux/tools.ts';
import { redact } from '../../../src/agent/linux/redact.ts';

const now = Date.parse('2026-03-01T12:00:00Z');
/** Without a journal, so that what is collected is what the test has written. */
const tools = openTools([]);
let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-logs-'));
});
after(() => rm(directory, { recursive: true }));

/** Collects, unpacks with the machine's own tar, and gives every file by its name below where the logs were. */
async function collect(wish: Partial<LogWish>, by = tools): Promise<Map<string, string>> {
  const out = new PassThrough();
  const [code, archive] = await Promise.all([
    collectLogs(by, { since: undefined, until: undefined, files: [], ...wish }, out, now).finally(() => out.end()),
    buffer(out),
  ]);
  assert.equal(code, 0);
  const target = await mkdtemp(join(directory, 'out-'));
  await writeFile(join(target, 'a.tar.gz'), archive);
  execFileSync('tar', ['xzf', 'a.tar.gz'], { cwd: target });
  const names = execFileSync('tar', ['tzf', 'a.tar.gz'], { cwd: target, encoding: 'utf8' }).trim().split('\n');
  const place = `${directory.slice(1)}/`;
  return new Map(
    await Promise.all(
      names.map(async (name) => [name.replace(place, ''), await readFile(join(target, name), 'utf8')] as const),
    ),
  );
}

async function log(name: string, content: string | Buffer): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  await utimes(path, now / 1_000, now / 1_000);
  return path;
}

describe('an archive of logs', () => {
  it('holds the lines of the window, of plain and of compressed files, and says what is in it', async () => {
    const lines = [
      '2026-03-01T05:59:59Z too early',
      '  and what belongs to it',
      '2026-03-01T06:00:00Z first',
      '  and what belongs to it',
      '2026-03-01T10:00:00+00:00 last',
      '2026-03-01T11:00:01Z too late',
    ];
    const plain = await log('plain.log', lines.join('\n'));
    const packed = await log('packed.log.gz', gzipSync('Mar  1 09:00:00 room kernel: usb 1-1: new device\n'));
    const found = await collect({ since: 'PT6H', until: 'PT1H', files: [plain, packed] });
    assert.equal(
      found.get('plain.log/0001.log'),
      '2026-03-01T06:00:00Z first\n  and what belongs to it\n2026-03-01T10:00:00+00:00 last\n',
    );
    assert.equal(found.get('packed.log.gz/0001.log'), 'Mar  1 09:00:00 room kernel: usb 1-1: new device\n');
    const manifest = JSON.parse(found.get('manifest.json')!) as Record<string, unknown>;
    assert.deepEqual([manifest['since'], manifest['until']], ['2026-03-01T06:00:00.000Z', '2026-03-01T11:00:00.000Z']);
    assert.equal(manifest['truncated'], false);
  });

  it('is sent in parts, so that a long log is never held whole', async () => {
    const path = await log('long.log', `2026-03-01T11:00:00Z ${'x'.repeat(1_000)}\n`.repeat(3_000));
    const found = await collect({ files: [path] });
    const parts = [...found.keys()].filter((name) => name.startsWith('long.log/'));
    assert.deepEqual(parts, ['long.log/0001.log', 'long.log/0002.log', 'long.log/0003.log']);
    assert.equal(
      parts.map((name) => found.get(name)!.split('\n').length - 1).reduce((a, b) => a + b),
      3_000,
    );
  });

  it('goes on with the others when one file is broken, and says so', async () => {
    const broken = await log('broken.gz', 'no gzip at all');
    const good = await log('good.log', '2026-03-01T11:00:00Z fine\n');
    const found = await collect({ files: [broken, good] });
    assert.equal(found.get('good.log/0001.log'), '2026-03-01T11:00:00Z fine\n');
    assert.match(found.get('manifest.json')!, /"why": "incorrect header check"/);
  });

  it('of files that were last written before the window has none of them', async () => {
    await mkdir(join(directory, 'old'));
    const path = await log('old/old.log', 'words\n');
    await utimes(path, 0, 0);
    const found = await collect({ files: [path, await log('new.log', 'words\n')] });
    assert.ok(found.has('new.log/0001.log'));
    assert.ok(!found.has('old/old.log/0001.log'));
  });

  it('has the journal first, and says what it asked it for', async () => {
    const place = join(directory, 'bin');
    await mkdir(place);
    await writeFile(join(place, 'journalctl'), '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
    const found = await collect({ since: 'PT6H', until: 'PT1H' }, openTools([place]));
    const asked = found.get('journal/0001.log')!.trimEnd().split('\n');
    const [since, until] = [now / 1_000 - 6 * 3_600, now / 1_000 - 3_600];
    assert.deepEqual(asked.slice(-2), [`--since=@${since}`, `--until=@${until}`]);
    const facilities = asked
      .find((each) => each.startsWith('--facility='))!
      .slice('--facility='.length)
      .split(',');
    for (const personal of ['auth', 'authpriv', 'mail']) assert.ok(!facilities.includes(personal), personal);
  });

  it('cannot be had of a device that has neither a journal nor the files, which says so', async () => {
    const out = new PassThrough();
    assert.equal(await collectLogs(tools, { since: undefined, until: undefined, files: ['/nowhere/*'] }, out), 69);
  });

  it('is of a window that makes sense', async () => {
    const wishes: Partial<LogWish>[] = [{ since: 'yesterday' }, { since: 'PT1H', until: 'PT2H' }, { until: 'x' }];
    for (const wish of wishes) await assert.rejects(collect(wish), { name: 'UsageError' });
  });
});

describe('a line of a log', () => {
  it('loses who somebody is, and keeps what is about the machine', () => {
    const cases: [string, string][] = [
      ['signed in as ada@provider.example ok', 'signed in as [e-mail] ok'],
      ['Started user@1000.service - User Manager', 'Started user@1000.service - User Manager'],
      ['getty@tty1.service: Succeeded', 'getty@tty1.service: Succeeded'],
      ['connected to 10.20.0.4:443', 'connected to [address]:443'],
      ['peer 2001:db8::1 left, fe80::1%eth0 too', 'peer [address] left, [address]%eth0 too'],
      ['addr 2001:db8:0:1:2:3:4:5 up', 'addr [address] up'],
      ['wlan0: 02:00:5e:10:00:01 joined', 'wlan0: [address] joined'],
      ['12:34:56 std::vector x::y', '12:34:56 std::vector x::y'],
      ['open /home/ada/notes.txt', 'open /home/[user]/notes.txt'],
      ['session opened for user ada(uid=1000) by (uid=0)', 'session opened for user [user](uid=1000) by (uid=0)'],
      ['rhost=x user=ada', 'rhost=x user=[user]'],
      ['kernel: usb 1-2: reset high-speed device number 4', 'kernel: usb 1-2: reset high-speed device number 4'],
    ];
    for (const [line, expected] of cases) assert.equal(redact(line), expected);
  });

  it('tells its time in the ways that logs do, and an old way that names no year is never in the future', () => {
    assert.equal(timeOf('2026-02-28T23:00:00.123456+01:00 x', now), Date.parse('2026-02-28T22:00:00.123Z'));
    assert.equal(timeOf('2026-02-28 23:00:00,5 x', now), Date.parse('2026-02-28T23:00:00.500'));
    assert.equal(timeOf('Dec 31 23:00:00 x', now), Date.parse('Dec 31 23:00:00 2025'));
    assert.equal(timeOf('Traceback (most recent call last):', now), null);
  });

  it('is cut when it is too long to be one, and found wherever the pieces of a stream are cut', async () => {
    const pieces = ['a\nb', 'c\n\u00e5'.slice(0, 2), '\u00e5\n', 'x'.repeat(200_000)].map((text) => Buffer.from(text));
    const lines: string[] = [];
    for await (const line of linesOf(
      (async function* () {
        yield* pieces;
      })(),
    )) {
      lines.push(line);
    }
    assert.deepEqual(lines.slice(0, 3), ['a', 'bc', '\u00e5']);
    assert.equal(lines[3]!.length, 65_536);
  });
});
