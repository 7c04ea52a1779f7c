// Runs before every script of package.json, on any Node.js from 20: installs what the lockfile names, if it is not there.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withFolderLock } from './folder-lock.mjs';
import { missingPackages } from './installed.mjs';
import { platformProblem, thisMachine } from './platform.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

try {
  const problem = platformProblem(thisMachine());
  if (problem) throw new Error(problem);
  if (missingPackages(root).length) await installOnce();
} catch (error) {
  say(error.message);
  process.exitCode = 1;
}

/** Several at once, as of `npm start` beside `npm test`, install once. */
async function installOnce() {
  const onWait = (pid) => say(`waiting for process ${pid}, which is installing what \`package-lock.json\` names`);
  await withFolderLock(join(root, '.latchkey', 'installing'), { onWait }, async () => {
    const missing = missingPackages(root);
    if (!missing.length) return;
    say(`installing ${missing.length} packages that \`package-lock.json\` names`);
    await npmCi();
    const [first] = missingPackages(root);
    if (first) throw new Error(`\`npm ci\` ended well, but \`${first}\` is not there as \`package-lock.json\` has it`);
  });
}

/**
 * Everything is wanted, development's and optional packages too, whatever `NODE_ENV` or the user's configuration leave
 * out; and no package needs its install script. Standard output is not ours: the command that follows owns it.
 */
async function npmCi() {
  const options = ['--include=dev', '--include=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  const npm = spawn('npm', ['ci', ...options, '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const forward = (signal) => npm.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward);
  const code = await new Promise((ended, failed) => {
    npm.once('error', failed);
    npm.once('exit', (status) => ended(status ?? 1));
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, forward);
  if (code !== 0) throw new Error(`\`npm ci\` failed with exit code ${code}; what it said stands above`);
}

function say(message) {
  process.stderr.write(`latchkey: ${message}\n`);
}
