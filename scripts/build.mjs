// Compiles what is published: `package`, the whole, into dist/; `agent`, its library by itself, into packages/agent/dist/.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (...path) => join(root, ...path);

const builds = {
  package() {
    compile('tsconfig.build.json', 'dist');
    // The compiled code looks for them where they are seen from src/.
    for (const folder of ['migrations', 'agent-actions']) cpSync(at(folder), at('dist', folder), { recursive: true });
  },
  agent() {
    compile('packages/agent/tsconfig.json', 'packages/agent/dist');
    copyFileSync(at('LICENSE'), at('packages/agent/LICENSE'));
  },
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(builds, name));
if (unknown.length > 0) fail(`there is no \`${unknown[0]}\` to build: ${Object.keys(builds).join(' or ')}`);
for (const name of asked.length > 0 ? asked : Object.keys(builds)) builds[name]();

function compile(project, folder) {
  // What is left of an earlier build, of files that are no more, would be packed too.
  rmSync(at(folder), { recursive: true, force: true });
  const tsc = at('node_modules/typescript/bin/tsc');
  const { status, error } = spawnSync(process.execPath, [tsc, '--project', at(project)], { stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) fail(`\`${project}\` does not compile`);
}

function fail(message) {
  console.error(`latchkey: ${message}`);
  process.exit(1);
}
