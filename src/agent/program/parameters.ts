import { realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { InputMistake } from '../../domain/errors.ts';
import { pointerSegment } from '../../domain/shape-mistakes.ts';
import { unreachable } from '../../domain/unreachable.ts';
import { BadArguments } from '../actions.ts';
import type { ParameterDescription } from '../describe-action.ts';
import type { ActionArguments } from '../device-events.ts';

/** An argument that a declared action takes. A path is told as text below a directory, and handed on whole. */
export type Parameter = ParameterDescription & { readonly under?: string };

type Value = string | number | boolean;

/** A value that is taken, or why it is not. */
type Judged = { readonly value: Value } | { readonly why: string };

export const longestText = 256;

/**
 * Judges what somebody gave against what the action declares.
 * @returns the values to put into the command, defaults included.
 * @throws BadArguments with all mistakes together.
 */
export async function judgeArguments(
  parameters: readonly Parameter[],
  args: ActionArguments,
): Promise<ReadonlyMap<string, Value>> {
  const mistakes: InputMistake[] = [];
  const known = new Set(parameters.map(({ name }) => name));
  for (const name of Object.keys(args).filter((name) => !known.has(name))) {
    const others = known.size > 0 ? `; there are ${[...known].map((each) => `\`${each}\``).join(', ')}` : '';
    mistakes.push({ pointer: `/${pointerSegment(name)}`, message: `is not known${others}` });
  }
  const values = new Map<string, Value>();
  for (const parameter of parameters) {
    const given = args[parameter.name] ?? parameter.default;
    const judged = given === undefined ? null : await judge(parameter, given);
    if (judged && 'value' in judged) values.set(parameter.name, judged.value);
    else if (judged || parameter.required) {
      mistakes.push({ pointer: `/${pointerSegment(parameter.name)}`, message: judged?.why ?? 'is needed' });
    }
  }
  if (mistakes.length > 0) throw new BadArguments(mistakes);
  return values;
}

async function judge(parameter: Parameter, given: Value): Promise<Judged> {
  switch (parameter.type) {
    case 'boolean':
      return judgeBoolean(given);
    case 'integer':
      return judgeInteger(parameter, given);
    case 'path':
      return judgePath(parameter, given);
    case 'text':
      return judgeText(parameter, given);
    default:
      return unreachable(parameter.type);
  }
}

/** `true` as text counts like true: on a command line everything is text. */
function judgeBoolean(given: Value): Judged {
  if (given === true || given === 'true') return { value: true };
  return given === false || given === 'false' ? { value: false } : { why: 'is true or false' };
}

function judgeInteger({ minimum = 0, maximum = 0 }: Parameter, given: Value): Judged {
  const number = typeof given === 'string' && /^\d{1,15}$/.test(given) ? Number(given) : given;
  const isIn = typeof number === 'number' && Number.isSafeInteger(number) && number >= minimum && number <= maximum;
  return isIn ? { value: number } : { why: `is a whole number from ${minimum} to ${maximum}` };
}

function judgeText({ values, pattern }: Parameter, given: Value): Judged {
  if (typeof given !== 'string') return { why: 'is a text' };
  if (values) {
    return values.includes(given)
      ? { value: given }
      : { why: `is one of ${values.map((each) => `\`${each}\``).join(', ')}` };
  }
  const why = whyUnsafe(given) ?? (/[/\\]/.test(given) ? 'may hold no slash' : null);
  if (why !== null) return { why };
  return wholly(pattern ?? '').test(given) ? { value: given } : { why: `must match \`${pattern}\`` };
}

/** INVARIANT: what links on the way point to counts, so nothing outside of the directory can be named. */
async function judgePath({ under = '', pattern }: Parameter, given: Value): Promise<Judged> {
  if (typeof given !== 'string') return { why: 'is a text' };
  const why = whyUnsafe(given) ?? (given.includes('\\') ? 'may hold no backslash' : null);
  if (why !== null) return { why };
  const outside = { why: 'is no path to something below the directory that is meant' };
  if (given.split('/').some((segment) => ['', '.', '..'].includes(segment))) return outside;
  if (pattern !== undefined && !wholly(pattern).test(given)) return { why: `must match \`${pattern}\`` };
  try {
    const directory = await realpath(under);
    const path = await realpath(join(directory, given));
    return path.startsWith(directory + sep) ? { value: path } : outside;
  } catch {
    return { why: 'names nothing that is there' };
  }
}

/**
 * Why a text may not become an argument, whatever the pattern says; null when it may. What begins with a hyphen would
 * be an option to most programs, and control characters have meanings of their own to whatever shows or logs them.
 */
export function whyUnsafe(text: string): string | null {
  if (text === '' || text.length > longestText) return `has 1 to ${longestText} characters`;
  if (text.startsWith('-')) return 'may not begin with a hyphen, which would make it an option';
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(text)) return 'may hold no control characters';
  return null;
}

/** A pattern that the whole text has to match, wherever it was written to begin and end. */
export function wholly(pattern: string): RegExp {
  return new RegExp(`^(?:${pattern})$`, 'u');
}
