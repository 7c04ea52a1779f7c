import assert from 'node:assert/strict';
import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findOffences, floors } from './support/floors.ts';

const source = fileURLToPath(new URL('../src', import.meta.url));

test('every import in src stays on the floors that may have it, and none goes in a circle', () => {
  const paths = globSync('**/*.ts', { cwd: source });
  assert.ok(paths.length > 50, 'the sources were not found');
  const files = new Map(paths.sort().map((path) => [path, readFileSync(join(source, path), 'utf8')]));
  assert.deepEqual(findOffences(files), []);
});

test('src/README.md has one sentence for each floor', () => {
  const text = readFileSync(join(source, 'README.md'), 'utf8');
  const described = [...text.matchAll(/^- `([a-z.]+)\/?`: [^.].*\.$/gm)].map(([, name]) => name!);
  const present = globSync('*', { cwd: source }).filter((name) => name.endsWith('.ts') || isFolder(name));
  assert.deepEqual(
    present.filter((name) => !described.includes(name)),
    [],
    'not described',
  );
  assert.deepEqual(
    Object.keys(floors).filter((name) => isFolder(name) && !described.includes(name)),
    [],
  );
  for (const line of text.split('\n').filter((line) => line.startsWith('- '))) {
    assert.equal(line.match(/[.!?](?: |$)/g)?.length, 1, `one sentence: ${line}`);
  }
});

const broken: readonly [what: string, file: string, text: string, offence: string | RegExp][] = [
  [
    'an import from a floor above',
    'domain/grant.ts',
    "import { a } from './ids.ts';\nimport { query } from '../store/query.ts';\n",
    'src/domain/grant.ts:2: `domain` may not import `store` (`../store/query.ts`)',
  ],
  [
    'an import of types alone',
    'agent/door.ts',
    "import type {\n  Broker,\n} from '../broker/context.ts';\n",
    'src/agent/door.ts:3: `agent` may not import `broker` (`../broker/context.ts`)',
  ],
  [
    'a dynamic import',
    'cli/login.ts',
    "const module = await import('../http/app.ts');\n",
    'src/cli/login.ts:1: `cli` may not import `http` (`../http/app.ts`)',
  ],
  [
    'a type named through an import',
    'store/people.ts',
    "let app: import('../http/app.ts').App;\n",
    'src/store/people.ts:1: `store` may not import `http` (`../http/app.ts`)',
  ],
  [
    'a re-export',
    'ledger/index.ts',
    "export * from '../policy/decide.ts';\n",
    'src/ledger/index.ts:1: `ledger` may not import `policy` (`../policy/decide.ts`)',
  ],
  [
    'an import of main by development',
    'development/start.ts',
    "import '../main.ts';\n",
    'src/development/start.ts:1: `development` may not import `main.ts` (`../main.ts`)',
  ],
  [
    'pg outside the store',
    'broker/x.ts',
    "import { Client } from 'pg';\n",
    /^src\/broker\/x\.ts:1: package `pg` stays/,
  ],
  [
    'express outside http',
    'broker/x.ts',
    "import express from 'express';\n",
    'src/broker/x.ts:1: package `express` stays in `http`',
  ],
  [
    'the Key Vault client outside credentials',
    'http/x.ts',
    "import { SecretClient } from '@azure/keyvault-secrets';\n",
    'src/http/x.ts:1: package `@azure/keyvault-secrets` stays in `credentials`',
  ],
  ['a package nobody placed', 'http/x.ts', "import x from 'left/pad';\n", /package `left` has no floor yet/],
  [
    'files read on a pure floor',
    'policy/x.ts',
    "import { readFileSync } from 'node:fs';\n",
    'src/policy/x.ts:1: `node:fs` has no place on a pure floor',
  ],
  ['a clock on a pure floor', 'domain/x.ts', 'const now = new Date();\n', /^src\/domain\/x\.ts:1: has a clock/],
  [
    'the environment read outside the configuration',
    'store/x.ts',
    'export const a = 1;\nconst url = process.env.URL;\n',
    'src/store/x.ts:2: reads the environment, which `config.ts` does for all',
  ],
  ['words on the console', 'broker/x.ts', "console.log('x');\n", /^src\/broker\/x\.ts:1: writes to the console/],
  ['an import of a computed name', 'cli/x.ts', 'await import(name);\n', /cannot be read off the line/],
  [
    'a way out of src',
    'http/x.ts',
    "import x from '../../test/x.ts';\n",
    /`\.\.\/\.\.\/test\/x\.ts` lies outside of src/,
  ],
  ['a folder that is no floor', 'helpers/x.ts', 'export {};\n', 'src/helpers/x.ts:1: is on no known floor'],
];

for (const [what, file, text, offence] of broken) {
  test(`the check finds ${what}`, () => {
    const offences = findOffences(new Map([[file, text]]));
    assert.equal(offences.length, 1, offences.join('\n'));
    if (typeof offence === 'string') assert.equal(offences[0], offence);
    else assert.match(offences[0]!, offence);
  });
}

test('the check spells out a circle of imports', () => {
  const files = new Map([
    ['domain/a.ts', "import { b } from './b.ts';\n"],
    ['domain/b.ts', "import type { C } from './deep/c.ts';\n"],
    ['domain/deep/c.ts', "export { a } from '../a.ts';\n"],
    ['domain/d.ts', "import { a } from './a.ts';\n"],
  ]);
  assert.deepEqual(findOffences(files), [
    'imports go in a circle: domain/a.ts → domain/b.ts → domain/deep/c.ts → domain/a.ts',
  ]);
});

test('the check takes no comment for an import', () => {
  const text = "// import '../http/app.ts'\n/**\n * import('../http/app.ts')\n */\nexport const a = 1;\n";
  assert.deepEqual(findOffences(new Map([['domain/a.ts', text]])), []);
});

function isFolder(name: string): boolean {
  return statSync(join(source, name), { throwIfNoEntry: false })?.isDirectory() ?? false;
}
