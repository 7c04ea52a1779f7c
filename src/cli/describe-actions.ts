import type { ListedAction } from '../agent/list-actions.ts';
import type { Printer } from './printer.ts';
import { neutralise } from './text/neutralise.ts';
import { durationWords } from './text/time-words.ts';

type Parameter = NonNullable<ListedAction['parameters']>[number];

/** Tells what can be done in a session: each action with what it takes. What the device says of them is its own word. */
export function describeActions(printer: Printer, actions: readonly ListedAction[]): void {
  printer.note('actions that this session allows, with key=value arguments after them:');
  for (const action of actions) {
    printer.note(`  ${printer.paint.strong(neutralise(action.scope))}`);
    if (action.description !== null) printer.note(`      ${neutralise(action.description)}${limits(action)}`);
    for (const parameter of action.parameters ?? []) {
      printer.note(`      ${neutralise(signature(parameter))}  ${neutralise(explanation(parameter))}`);
    }
  }
  printer.note('and: help, exit');
}

/** What can follow an action's name on its line. */
export function completionsFor(actions: readonly ListedAction[], scope: string): readonly string[] {
  const parameters = actions.find((action) => action.scope === scope)?.parameters ?? [];
  return parameters.flatMap(({ name, type, values }) => {
    const known = values ?? (type === 'boolean' ? ['true', 'false'] : ['']);
    return known.map((value) => `${name}=${value}`);
  });
}

function limits({ dataClass, timeLimitSeconds }: ListedAction): string {
  const parts = [dataClass && neutralise(dataClass), timeLimitSeconds && `at most ${durationWords(timeLimitSeconds)}`];
  return parts.some(Boolean) ? ` (${parts.filter(Boolean).join('; ')})` : '';
}

/** `lines=1…500`, `[app=rooms|signage]`. */
function signature({ name, type, required, values, minimum, maximum }: Parameter): string {
  const value =
    type === 'boolean'
      ? 'true'
      : type === 'integer'
        ? `${minimum ?? ''}…${maximum ?? ''}`
        : (values?.join('|') ?? type.toUpperCase());
  return required ? `${name}=${value}` : `[${name}=${value}]`;
}

function explanation({ description, example, default: usual }: Parameter): string {
  const more = [
    ...(usual === undefined ? [] : [`${String(usual)} when absent`]),
    ...(example === undefined ? [] : [`such as ${example}`]),
  ];
  return more.length > 0 ? `${description} (${more.join('; ')})` : description;
}
