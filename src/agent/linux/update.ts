import { cannot, say, UsageError, type Tools } from './tools.ts';

type Steps = (packages: readonly string[], isDry: boolean) => readonly (readonly string[])[];

/** What each package manager has to be told, step by step; none of them asks anything back. */
const managers: Readonly<Record<string, Steps>> = {
  'apt-get': (packages, isDry) =>
    isDry
      ? [['--simulate', ...apt(packages)]]
      : [['update'], ['--yes', '--option=Dpkg::Options::=--force-confold', ...apt(packages)]],
  dnf: (packages, isDry) => [[isDry ? '--assumeno' : '--assumeyes', 'upgrade', ...packages]],
  zypper: (packages, isDry) => [['--non-interactive', 'update', ...(isDry ? ['--dry-run'] : []), ...packages]],
};

function apt(packages: readonly string[]): string[] {
  return packages.length > 0 ? ['install', '--only-upgrade', ...packages] : ['upgrade'];
}

/** Brings one package, or all of them, up to date by the device's own package manager. @returns an exit code. */
export async function update(tools: Tools, name: string | null, isDry: boolean): Promise<number> {
  if (name !== null && !/^[A-Za-z0-9][A-Za-z0-9.+_:-]{0,127}$/.test(name)) throw new UsageError('that is no package');
  const tool = await tools.find(...Object.keys(managers));
  if (!tool) return cannot(`there is none of ${Object.keys(managers).join(', ')} on this device`);
  const manager = tool.slice(tool.lastIndexOf('/') + 1);
  // What an update that was cut off left half done is finished first.
  const dpkg = manager === 'apt-get' && !isDry ? await tools.find('dpkg') : null;
  if (dpkg) await tools.run(dpkg, ['--configure', '--pending', '--force-confold']);
  for (const step of managers[manager]!(name === null ? [] : [name], isDry)) {
    await say(`${manager} ${step.join(' ')}\n`);
    const code = await tools.run(tool, step);
    // Told to do nothing, dnf says so by failing.
    if (code !== 0 && !(isDry && manager === 'dnf')) return code;
  }
  return 0;
}
