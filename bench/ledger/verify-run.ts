import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ownProcessorSeconds, residentMegabytes } from '../processes.ts';

const program = fileURLToPath(new URL('../../scripts/latchkey.mjs', import.meta.url));
const lookEvery = 100;

/** What a run of `latchkey ledger verify` took. */
export interface VerifyRun {
  readonly seconds: number;
  /** Of the process itself, without PostgreSQL; null where the system does not tell. */
  readonly processor: number | null;
  /** The most that it had resident at any time, in megabytes of a million bytes. */
  readonly peak: number;
}

/** Verifies the ledger of a database in a process of its own. @throws when it does not hold, or is not of that size. */
export async function runVerify(url: string, vkey: string, size: number): Promise<VerifyRun> {
  const began = performance.now();
  const args = [program, 'ledger', 'verify', '--database', url, '--key', vkey, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
  let [processor, peak]: [number | null, number] = [null, 0];
  const look = (): void => {
    peak = Math.max(peak, peakMegabytes(child.pid!));
    processor = ownProcessorSeconds(child.pid!) || processor;
  };
  const looking = setInterval(look, lookEvery);
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  clearInterval(looking);
  const answer = JSON.parse(text) as { readonly holds: boolean; readonly size: number };
  if (code !== 0 || !answer.holds || answer.size !== size) throw new Error(`the ledger was not verified: ${text}`);
  return { seconds: (performance.now() - began) / 1_000, processor, peak };
}

function peakMegabytes(pid: number): number {
  const file = `/proc/${pid}/status`;
  try {
    if (!existsSync(file)) return residentMegabytes(pid);
    return (Number(/VmHWM:\s+(\d+)/.exec(readFileSync(file, 'utf8'))?.[1] ?? 0) * 1_024) / 1_000_000;
  } catch {
    // It has just ended.
    return 0;
  }
}
