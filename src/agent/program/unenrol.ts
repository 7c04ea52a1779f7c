import { unenrol } from '../unenrol.ts';
import type { AgentConfig } from './config.ts';
import { reapLeft } from './reap.ts';
import { createRunningActions, leftActions } from './running-actions.ts';
import type { ProgramOptions } from './run.ts';
import { StateError } from '../state-directory.ts';

/**
 * Takes the device of a stopped agent out: ends what it may have left running, tells what is left to tell, and removes
 * what it kept.
 * @throws StateError or BrokerError as `unenrol` does; StateError when something that was left running cannot be ended.
 */
export async function unenrolProgram(
  config: AgentConfig,
  { log, lock, erase }: Pick<ProgramOptions, 'log' | 'lock'> & { readonly erase: boolean },
): Promise<void> {
  const { brokerUrl, stateDirectory } = config;
  const held = lock(stateDirectory);
  try {
    const tell = (message: string, details: object = {}): void => log.info(details, message);
    const left = await leftActions(stateDirectory);
    const stuck = await reapLeft(left, createRunningActions(stateDirectory, left), tell);
    if (stuck.length > 0) throw new StateError('an action that was left running cannot be ended; restart the device');
    await unenrol({ brokerUrl, stateDirectory, erase, log: tell });
  } finally {
    held.release();
  }
}
