import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentConfig } from './config.ts';
import { startAgentProgram, type AgentLog, type RunningAgent } from './start.ts';

export interface ProgramOptions {
  readonly log: AgentLog;
  /** Takes a directory for this process; throws when another has it. */
  readonly lock: (directory: string) => { release(): void };
  /** Aborted, with the signal's name, when the program is to end. */
  readonly signal: AbortSignal;
}

export type ProgramEnd = 'stopped' | 'unenrolled' | 'hung';

/** Ends what runs, tells the broker, and is out of the way before whoever stops it loses patience. */
const mostMsToStop = 8_500;

/**
 * Runs the agent until it is told to end, or its device is taken out, and ends it within nine seconds, whatever hangs.
 * @returns `hung` when something was still there by then: the next start ends it.
 */
export async function runAgentProgram(config: AgentConfig, options: ProgramOptions): Promise<ProgramEnd> {
  const { log, signal } = options;
  await mkdir(config.stateDirectory, { recursive: true, mode: 0o700 });
  // Two agents would sign with one key, and each would end what the other runs.
  const lock = options.lock(config.stateDirectory);
  const stopped = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const starting = startAgentProgram(config, log);
  starting.catch(() => undefined);
  const agent = await Promise.race([starting, stopped]);
  if (agent) {
    log.info({ device: agent.device, door: agent.doorUrl }, 'ready');
    await Promise.race([stopped, agent.unenrolled]);
  }
  const isUnenrolled = !signal.aborted;
  log.info(isUnenrolled ? {} : { signal: signal.reason as string }, 'stopping');
  const isDone = await Promise.race([stop(starting), sleep(mostMsToStop, false)]);
  if (isDone) log.info({}, 'stopped');
  else log.warn({}, 'something cannot be ended; the next start tries again');
  lock.release();
  if (!isDone) return 'hung';
  return isUnenrolled ? 'unenrolled' : 'stopped';
}

/** An agent that still waits for its broker is done as it is: nobody was let in. */
async function stop(starting: Promise<RunningAgent>): Promise<boolean> {
  const agent = await Promise.race([starting.catch(() => null), sleep(1_000, null)]);
  await agent?.stop();
  return true;
}
