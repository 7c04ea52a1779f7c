import { isAbsolute } from 'node:path';
import type { InputMistake } from '../../domain/errors.ts';
import type { ParameterFile } from './action-file.ts';
import { judgeArguments, whyUnsafe, wholly, type Parameter } from './parameters.ts';

/** Which members say something about which type; all others are mistakes. */
const members = {
  text: ['default', 'values', 'pattern', 'example'],
  path: ['under', 'pattern', 'example'],
  integer: ['default', 'minimum', 'maximum', 'example'],
  boolean: ['default'],
} as const satisfies Record<ParameterFile['type'], readonly (keyof ParameterFile)[]>;

/** A parameter from the configuration. Whatever is wrong with it is added to `mistakes`, below `pointer`. */
export async function declaredParameter(
  name: string,
  written: ParameterFile,
  pointer: string,
  mistakes: InputMistake[],
): Promise<Parameter> {
  const wrong = (member: string, message: string): void =>
    void mistakes.push({ pointer: `${pointer}/${member}`, message });
  const { required = false, ...rest } = written;
  const parameter: Parameter = { name, required, ...rest };
  const before = mistakes.length;
  const allowed: readonly string[] = ['type', 'description', 'required', ...members[written.type]];
  for (const member of Object.keys(written).filter((member) => !allowed.includes(member))) {
    wrong(member, `says nothing about a parameter of type \`${written.type}\``);
  }
  if (required && written.default !== undefined) wrong('required', 'makes no sense beside a default');
  bounds(written, wrong);
  if (mistakes.length === before && written.default !== undefined) {
    await judgeArguments([parameter], {}).catch(() => wrong('default', 'is not a value that the parameter takes'));
  }
  return parameter;
}

/** INVARIANT: no parameter is without bounds; a text that nothing restricts could say anything to the program. */
function bounds(written: ParameterFile, wrong: (member: string, message: string) => void): void {
  const { type, values, pattern, minimum, maximum, under } = written;
  if (pattern !== undefined && !isPattern(pattern)) wrong('pattern', 'is not a regular expression');
  if (type === 'text' && (values === undefined) === (pattern === undefined)) {
    wrong('pattern', 'a text needs either `pattern` or `values`');
  }
  values?.forEach((value, index) => {
    const why = whyUnsafe(value);
    if (why !== null) wrong(`values/${index}`, why);
  });
  if (type === 'integer' && (minimum === undefined || maximum === undefined || minimum > maximum)) {
    wrong('maximum', 'an integer needs `minimum` and `maximum`, the former not above the latter');
  }
  if (type === 'path' && (under === undefined || !isAbsolute(under))) {
    wrong('under', 'a path needs the absolute directory that it lies under');
  }
}

function isPattern(text: string): boolean {
  try {
    return wholly(text) instanceof RegExp;
  } catch {
    return false;
  }
}
