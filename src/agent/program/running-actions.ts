import type { GrantId, SessionId } from '../../domain/ids.ts';
import { readState, StateError, writeState } from '../state-directory.ts';

const fileName = 'running-actions.json';

/** An action that was begun and of which it is not known that nothing is left. */
export interface RunningAction {
  /** What each of its processes carries in its environment. */
  readonly mark: string;
  readonly scope: string;
  readonly session: SessionId;
  readonly grant: GrantId;
  /** Milliseconds since the epoch, by the machine's clock. */
  readonly beganAt: number;
  /** The directory of its control group, if it has one. */
  readonly controlGroup: string | null;
}

/** The actions that run, written down so that the next start can look for what a kill of this one left behind. */
export interface RunningActions {
  /** INVARIANT: resolves once it is on disk, and only then may a process be started. */
  began(action: RunningAction): Promise<void>;
  /** Nothing of it is left. */
  gone(mark: string): Promise<void>;
}

/** The actions that ran when the agent last stopped without a word. @throws StateError when they cannot be read. */
export async function leftActions(directory: string): Promise<readonly RunningAction[]> {
  const kept = await readState(directory, fileName);
  if (kept === null) return [];
  if (!Array.isArray(kept)) throw new StateError(`\`${fileName}\` does not say which actions were running; remove it`);
  return kept as RunningAction[];
}

/** Starts with those that are left, which stay until they are `gone`. */
export function createRunningActions(directory: string, left: readonly RunningAction[]): RunningActions {
  const actions = new Map(left.map((action) => [action.mark, action]));
  let writing: Promise<void> = Promise.resolve();
  const write = (): Promise<void> => {
    // One after the other, each of what there is by then; a failure is its own caller's.
    writing = writing.catch(() => undefined).then(() => writeState(directory, fileName, [...actions.values()]));
    return writing;
  };
  return {
    began(action) {
      actions.set(action.mark, action);
      return write();
    },
    gone(mark) {
      return actions.delete(mark) ? write() : Promise.resolve();
    },
  };
}
