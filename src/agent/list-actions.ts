import type { Actions } from './actions.ts';
import type { ParameterDescription } from './describe-action.ts';

/** An action as `GET /sessions/{id}/actions` lists it; all but the scope is null of one that does not describe itself. */
export interface ListedAction {
  readonly scope: string;
  readonly description: string | null;
  readonly dataClass: string | null;
  readonly timeLimitSeconds: number | null;
  readonly parameters: readonly ParameterDescription[] | null;
}

/** What can be done with these scopes, in their order; a scope without an action is left out. */
export function listActions(actions: Actions, scopes: readonly string[]): ListedAction[] {
  return scopes.flatMap((scope) => {
    const action = actions.get(scope);
    if (!action) return [];
    return [{ scope, ...(typeof action === 'function' ? undescribed : action.about) }];
  });
}

const undescribed = { description: null, dataClass: null, timeLimitSeconds: null, parameters: null };
