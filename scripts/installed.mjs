import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The packages that the lockfile names for this machine and that are not in `node_modules` in that very version. npm
 * writes its own copy of the lockfile there as the last step, so after an installation that was broken off all are
 * missing. What somebody added besides is their business.
 * @param {string} root the checkout
 * @returns {string[]} paths below `root`, sorted
 */
export function missingPackages(root, machine = process) {
  const wanted = readPackages(join(root, 'package-lock.json'));
  if (!wanted) throw new Error('`package-lock.json` is missing or damaged');
  const found = readPackages(join(root, 'node_modules', '.package-lock.json')) ?? {};
  return Object.entries(wanted)
    .filter(([path, entry]) => path !== '' && isMeantFor(entry, machine))
    .filter(([path, entry]) => !isSame(found[path], entry) || !existsSync(join(root, path)))
    .map(([path]) => path)
    .sort();
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}

function isSame(found, wanted) {
  return found?.version === wanted.version && found.integrity === wanted.integrity;
}

/** npm leaves out an optional package that names other systems, processors or C libraries; ours is always glibc. */
function isMeantFor(entry, { platform, arch }) {
  return allows(entry.os, platform) && allows(entry.cpu, arch) && (platform !== 'linux' || allows(entry.libc, 'glibc'));
}

/** A list names what it allows, or with `!` what it does not. */
function allows(list, name) {
  const items = [list ?? []].flat();
  return !items.includes(`!${name}`) && (items.includes(name) || items.every((item) => item.startsWith('!')));
}
