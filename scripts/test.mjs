// Runs the tests against one PostgreSQL of their own: all of them, or those under the paths given.
import { spawn } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startTestServer } from '../test/support/test-server.ts';

// A hundred processes load the same code: its types are stripped, and it is compiled, once for all of them.
const compiled = fileURLToPath(new URL('../node_modules/.cache/latchkey-test', import.meta.url));

/** Milliseconds after which a test has failed, and a file of them: what hangs is named, and the others still run. */
const longest = Number(process.env.LATCHKEY_TEST_TIMEOUT ?? 600_000);
const longestFile = 1.5 * longest;
const ending = new URL('end-test-file.mjs', import.meta.url);

const paths = process.argv.slice(2);
const files = (paths.length ? paths : ['test']).flatMap(testFiles);

const interruption = new AbortController();
let signalled = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    signalled = signal;
    interruption.abort();
  });
}
const postgres = await startPostgres();
try {
  const code = await run(postgres.superuserUrl);
  process.exitCode = signalled ? 130 : code;
} finally {
  await postgres.stop();
}

function testFiles(path) {
  if (!existsSync(path)) fail(`there is no \`${path}\``);
  if (!statSync(path).isDirectory()) return [path];
  const found = globSync(join(path, '**/*.test.ts')).sort();
  if (!found.length) fail(`there is no test under \`${path}\``);
  return found;
}

function fail(message) {
  console.error(message);
  process.exit(2);
}

/** A server that is handed in is used and left alone. */
async function startPostgres() {
  const given = process.env.LATCHKEY_TEST_POSTGRES;
  if (given) return { superuserUrl: given, stop: async () => {} };
  return startTestServer(console.error);
}

/** The runner leads a group of its own, so that an interruption ends it with every file that it runs. */
function run(url) {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  // Each file brings brokers and connections of its own: more at once would take from one another what they wait for.
  const atOnce = `--test-concurrency=${availableParallelism()}`;
  const endings = [`--test-timeout=${longest}`, `--import=${ending}`];
  const options = ['--test', '--test-reporter=spec', atOnce, ...endings];
  const runner = spawn(process.execPath, [...options, ...files], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      NODE_COMPILE_CACHE: compiled,
      ...env,
      LATCHKEY_TEST_POSTGRES: url,
      LATCHKEY_TEST_FILE_TIMEOUT: String(longestFile),
    },
    detached: true,
  });
  const group = -(runner.pid ?? NaN);
  const end = () => {
    try {
      process.kill(group, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  };
  if (interruption.signal.aborted) end();
  else interruption.signal.addEventListener('abort', end);
  return new Promise((ended, failed) => {
    runner.once('error', failed);
    runner.once('exit', (code) => {
      end();
      ended(code ?? 1);
    });
  });
}
