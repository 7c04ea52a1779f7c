import { chromium, type Browser } from 'playwright-core';
import { chromiumCandidates, type Candidate } from './programs.ts';

/**
 * Starts a real Chromium without a window: the one of the packages, else one that is installed.
 * @throws Error saying why none runs here.
 */
export async function startChromium(candidates: readonly Candidate[] = chromiumCandidates()): Promise<Browser> {
  const failures: string[] = [];
  for (const find of candidates) {
    try {
      const { path, env } = await find();
      // The zygote forks helpers with rights of their own, which a container may not give.
      return await chromium.launch({ executablePath: path, args: ['--no-zygote'], env: { ...process.env, ...env } });
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  const advice = 'no Chromium runs on this machine: install one, as with `apt-get install chromium`';
  throw new Error([advice, ...failures].join('\n'));
}
