import { endProcesses } from './end-processes.ts';
import type { RunningAction } from './running-actions.ts';

/**
 * Ends what an agent that was killed left running, before anything else is begun. What stays because it cannot be killed
 * is looked for again at the next start.
 * @returns the actions of which nothing is left now.
 */
export async function reapLeft(
  left: readonly RunningAction[],
  log: (message: string, details?: Readonly<Record<string, unknown>>) => void,
): Promise<readonly RunningAction[]> {
  const ended = await Promise.all(
    left.map(async (action) => {
      const { mark, controlGroup, scope, session } = action;
      const isGone = await endProcesses({ mark, leader: null, controlGroup });
      log('an action was left over from the last start', { scope, session, isGone });
      return isGone ? [action] : [];
    }),
  );
  return ended.flat();
}
