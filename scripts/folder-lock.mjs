import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A holder says every two seconds that it is alive; silent for this many milliseconds, it counts as gone. */
const silence = 30_000;

/**
 * Does the work while nobody else holds the folder `path`, which stands for the lock. It waits for its turn, and takes
 * over from a holder that is gone. Any Node.js from 20 can run this, so it may lean on nothing newer.
 * @param {string} path
 * @param {{ onWait: (pid: string) => void }} options called once, if there is somebody to wait for
 * @param {() => Promise<void>} work
 */
export async function withFolderLock(path, { onWait }, work) {
  let waited = false;
  while (!take(path)) {
    if (isAbandoned(path)) {
      rmSync(path, { recursive: true, force: true });
      continue;
    }
    if (!waited) onWait(holder(path));
    waited = true;
    await sleep(200);
  }
  const sign = setInterval(() => utimesSync(path, new Date(), new Date()), 2_000);
  const release = () => rmSync(path, { recursive: true, force: true });
  process.once('exit', release);
  try {
    await work();
  } finally {
    clearInterval(sign);
    process.off('exit', release);
    release();
  }
}

function take(path) {
  try {
    mkdirSync(dirname(path), { recursive: true });
    mkdirSync(path);
    writeFileSync(join(path, 'pid'), String(process.pid));
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function isAbandoned(path) {
  const seen = statSync(path, { throwIfNoEntry: false });
  if (!seen) return false;
  if (Date.now() - seen.mtimeMs > silence) return true;
  const pid = Number(holder(path));
  return pid > 0 && !isAlive(pid);
}

function holder(path) {
  try {
    return readFileSync(join(path, 'pid'), 'utf8');
  } catch {
    return '';
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
