import { Failure } from './failure.ts';

/**
 * Reads an action's arguments: `key=value` for text, `key:=JSON` for anything else (`lines:=100`, `force:=true`).
 * @throws Failure for what is neither, and for a key that comes twice.
 */
export function readActionArguments(texts: readonly string[]): Readonly<Record<string, unknown>> {
  const entries = texts.map(readOne);
  const keys = entries.map(([key]) => key);
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) throw new Failure('usage', `the argument \`${twice}\` is given twice`);
  return Object.fromEntries(entries);
}

function readOne(text: string): readonly [string, unknown] {
  const match = /^([\w.-]+)(:?=)(.*)$/s.exec(text);
  if (!match) {
    throw new Failure('usage', `\`${text}\` is not an argument`, {
      hint: 'write `key=value`, or `key:=JSON` for numbers and the like',
    });
  }
  const [, key, sign, value] = match as unknown as [string, string, string, string];
  if (sign === '=') return [key, value];
  try {
    return [key, JSON.parse(value) as unknown];
  } catch (cause) {
    throw new Failure('usage', `\`${value}\` is not JSON`, { hint: `write \`${key}=${value}\` for plain text`, cause });
  }
}
