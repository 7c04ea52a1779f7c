import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { BadArguments } from '../../src/agent/actions.ts';
import type { ActionArguments } from '../../src/agent/device-events.ts';
import { judgeArguments, type Parameter } from '../../src/agent/program/parameters.ts';
import { fillTemplates, readTemplate } from '../../src/agent/program/templates.ts';

const parameter = (more: Partial<Parameter>): Parameter => ({
  name: 'p',
  type: 'text',
  description: 'a parameter',
  required: true,
  ...more,
});

/** What the command gets, or the words with which it is refused. */
async function given(declared: Partial<Parameter>, value: string | number | boolean): Promise<unknown> {
  try {
    return (await judgeArguments([parameter(declared)], { p: value })).get('p');
  } catch (error) {
    assert.ok(error instanceof BadArguments);
    return new Error(error.message);
  }
}

const refused = async (declared: Partial<Parameter>, value: string | number | boolean, why: RegExp): Promise<void> => {
  const said = await given(declared, value);
  assert.ok(said instanceof Error, `${JSON.stringify(value)} was taken`);
  assert.match(said.message, why);
};

describe('an argument that tries to be more than one', () => {
  const lax = { pattern: '.*' };

  it('is no option, whatever the pattern allows', async () => {
    for (const text of ['-', '-v', '--force', '--output=/etc/passwd', '-rf']) await refused(lax, text, /hyphen/);
  });

  it('is no path, not even part of one', async () => {
    for (const text of ['/etc/shadow', '../x', 'a/b', 'C:\\x', '..\\x']) await refused(lax, text, /may hold no slash/);
  });

  it('holds no control characters, and is neither empty nor endless', async () => {
    for (const text of ['a\nb', 'a\0b', '\u001b[2J', 'a\u202eb', 'a\u2028b', '\u200b'])
      await refused(lax, text, /control/);
    for (const text of ['', 'x'.repeat(257)]) await refused(lax, text, /1 to 256/);
  });

  it('matches its pattern from end to end, however that was written', async () => {
    for (const pattern of ['[a-z]+', '^[a-z]+$', 'a|b', '^a|b$']) {
      await refused({ pattern }, 'a; reboot', /must match/);
      await refused({ pattern }, 'reboot; b', /must match/);
      await refused({ pattern }, 'a$(id)b', /must match/);
      assert.equal(await given({ pattern }, 'a'), 'a');
    }
  });

  it('is one of the values where there are only those, to the letter', async () => {
    const values = ['rooms', 'panel'];
    for (const text of ['Rooms', 'rooms ', 'rooms,panel', '-rooms', 'constructor'])
      await refused({ values }, text, /one of/);
    assert.equal(await given({ values }, 'panel'), 'panel');
  });

  it('is a number that is whole and within its bounds, and nothing that only begins like one', async () => {
    const whole = { type: 'integer', minimum: 1, maximum: 500 } as const;
    for (const value of [
      0,
      501,
      1.5,
      -1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      true,
      '1e2',
      '0x10',
      '1 2',
      '１',
      ' 1',
      '-1',
    ]) {
      await refused(whole, value, /whole number from 1 to 500/);
    }
    assert.deepEqual([await given(whole, 7), await given(whole, '500')], [7, 500]);
  });

  it('is true or false and nothing that would pass for it', async () => {
    for (const value of ['yes', '1', 1, 'TRUE', '']) await refused({ type: 'boolean' }, value, /true or false/);
    assert.deepEqual(
      [await given({ type: 'boolean' }, 'true'), await given({ type: 'boolean' }, false)],
      [true, false],
    );
  });

  it('is known by name, and what every object inherits is no name', async () => {
    const args: ActionArguments = Object.assign(Object.create(null), { p: 'a', toString: 'x', __proto__x: 'y' });
    await assert.rejects(judgeArguments([parameter({ pattern: 'a' })], args), (error: BadArguments) => {
      assert.deepEqual(
        error.mistakes.map(({ pointer }) => pointer),
        ['/toString', '/__proto__x'],
      );
      return true;
    });
    await assert.rejects(
      judgeArguments([parameter({ name: 'toString', pattern: 'a' })], Object.create(null)),
      BadArguments,
    );
  });
});

describe('a path that tries to leave its directory', () => {
  let directory: string;
  let path: Partial<Parameter>;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'latchkey-paths-'));
    await mkdir(join(directory, 'logs/app'), { recursive: true });
    await writeFile(join(directory, 'logs/app/one.log'), 'x');
    await writeFile(join(directory, 'secret'), 'x');
    await symlink(join(directory, 'secret'), join(directory, 'logs/innocent.log'));
    await symlink(directory, join(directory, 'logs/up'));
    await mkdir(join(directory, 'logs-other'));
    path = { type: 'path', under: join(directory, 'logs') };
  });
  after(() => rm(directory, { recursive: true }));

  it('is refused, by whatever way it goes', async () => {
    for (const text of ['../secret', 'app/../../secret', './x', 'app//one.log', '/etc/passwd', 'app/', '..', '.']) {
      await refused(path, text, /no path to something below/);
    }
    for (const text of ['innocent.log', 'up/secret', 'up/logs-other', 'up'])
      await refused(path, text, /no path to something below/);
    for (const text of ['-x', 'app\\one.log', 'a\0b']) await refused(path, text, /hyphen|backslash|control/);
    await refused(path, 'app/none.log', /nothing that is there/);
  });

  it('is handed on whole when it stays inside', async () => {
    assert.equal(await given(path, 'app/one.log'), join(directory, 'logs/app/one.log'));
  });
});

describe('what a template makes of arguments', () => {
  it('is always as many arguments as the configuration wrote, each beginning as it wrote it', () => {
    const templates = ['--name={p}', { if: 'flag', arguments: ['--flag'] }, 'x', '{{{p}}}'].map(readTemplate);
    fc.assert(
      fc.property(fc.string(), fc.boolean(), (text, flag) => {
        const filled = fillTemplates(
          templates,
          new Map<string, string | boolean>([
            ['p', text],
            ['flag', flag],
          ]),
        );
        const expected = [`--name=${text}`, ...(flag ? ['--flag'] : []), 'x', `{${text}}`];
        assert.deepEqual(filled, expected);
      }),
    );
  });

  it('never reads what was put in as a template of its own', () => {
    assert.deepEqual(fillTemplates([readTemplate('{p}')], new Map([['p', '{q}{$r}']])), ['{q}{$r}']);
  });

  it('takes no text that begins with a hyphen, of all the texts there are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => {
        const judged = await given({ pattern: '[^]*' }, text);
        if (judged instanceof Error) return;
        assert.equal(judged, text);
        assert.doesNotMatch(text, /^-|[/\\\p{Cc}]/u);
      }),
    );
  });
});
