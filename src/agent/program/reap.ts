import { endProcesses } from './end-processes.ts';
import type { RunningAction, RunningActions } from './running-actions.ts';

/**
 * Ends what an agent that was killed left running, before anything else is begun. What stays because it cannot be killed
 * is looked for again at the next start.
 * @returns the actions of which something is still there.
 */
export async function reapLeft(
  left: readonly RunningAction[],
  running: RunningActions,
  log: (message: string, details?: Readonly<Record<string, unknown>>) => void,
): Promise<readonly RunningAction[]> {
  const stuck = await Promise.all(
    left.map(async (action) => {
      const { mark, controlGroup, scope, session } = action;
      const isGone = await endProcesses({ mark, leader: null, controlGroup });
      log('an action was left over from the last start', { scope, session, isGone });
      if (!isGone) return [action];
      // On a full disk it is looked for once more at the next start, in vain.
      await running.gone(mark).catch(() => undefined);
      return [];
    }),
  );
  return stuck.flat();
}
