import { basename, isAbsolute } from 'node:path';
import { parseDuration } from '../../domain/duration.ts';
import type { InputMistake } from '../../domain/errors.ts';
import { pointerSegment } from '../../domain/shape-mistakes.ts';
import type { ActionFile } from './action-file.ts';
import { declaredParameter } from './declared-parameter.ts';
import type { Parameter } from './parameters.ts';
import { shippedProgram, shippedPrograms } from './shipped.ts';
import {
  parametersIn,
  readTemplate,
  TemplateError,
  valuesIn,
  withValues,
  type Template,
  type WrittenTemplate,
} from './templates.ts';

/** An action as the configuration declares it, whole and in order. */
export interface Declaration {
  readonly description: string;
  readonly dataClass: string;
  /** The program's absolute path, and what comes before the arguments. */
  readonly program: readonly [file: string, ...first: string[]];
  readonly templates: readonly Template[];
  readonly parameters: readonly Parameter[];
  readonly timeLimitSeconds: number;
  readonly environment: Readonly<Record<string, string>>;
  /** What is added when nothing is to be changed; null of an action that cannot say what it would do. */
  readonly dryRun: readonly string[] | null;
}

/** The argument by which a person asks for a dry run. */
export const dryRunParameter = 'dryRun';
const longestSeconds = 86_400;

/**
 * An action from the configuration. Whatever is wrong with it is added to `mistakes`, below `pointer`; it must not be
 * used then.
 * @param values the fixed texts that `{$name}` stands for.
 */
export async function declareAction(
  written: ActionFile,
  values: Readonly<Record<string, string>>,
  pointer: string,
  mistakes: InputMistake[],
): Promise<Declaration> {
  const parameters: Parameter[] = [];
  for (const [name, parameter] of Object.entries(written.parameters ?? {})) {
    const place = `${pointer}/parameters/${pointerSegment(name)}`;
    if (name === dryRunParameter) mistakes.push({ pointer: place, message: 'is what `dryRun` of the action is for' });
    parameters.push(await declaredParameter(name, parameter, place, mistakes));
  }
  const read = written.command.map((template, index): Template => {
    const place = `${pointer}/command/${index}`;
    return declaredTemplate(template, parameters, values, (message) => mistakes.push({ pointer: place, message }));
  });
  const seconds = parseDuration(written.timeLimit) ?? 0;
  if (seconds < 1 || seconds > longestSeconds) {
    mistakes.push({ pointer: `${pointer}/timeLimit`, message: 'must lie between `PT1S` and `P1D`' });
  }
  const [first, ...templates] = read;
  return {
    description: written.description,
    dataClass: written.dataClass,
    program: declaredProgram(written, first!, templates, (message) =>
      mistakes.push({ pointer: `${pointer}/command/0`, message }),
    ),
    templates,
    parameters,
    timeLimitSeconds: seconds,
    environment: written.environment ?? {},
    dryRun: written.dryRun ?? null,
  };
}

function declaredTemplate(
  written: WrittenTemplate,
  parameters: readonly Parameter[],
  values: Readonly<Record<string, string>>,
  wrong: (message: string) => void,
): Template {
  const empty = { onlyWith: null, arguments: [] };
  let template: Template;
  try {
    template = readTemplate(written);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    wrong(error.message);
    return empty;
  }
  const find = (name: string): Parameter | undefined => parameters.find((parameter) => parameter.name === name);
  const { onlyWith } = template;
  if (onlyWith !== null && !find(onlyWith)) wrong(`\`${onlyWith}\` is no parameter of the action`);
  for (const name of parametersIn(template)) {
    const parameter = find(name);
    if (!parameter) wrong(`\`{${name}}\` is no parameter of the action`);
    else if (parameter.type === 'boolean')
      wrong(`\`{${name}}\` is true or false: use \`{ "if": "${name}", "arguments": […] }\``);
    else if (!parameter.required && parameter.default === undefined && name !== onlyWith) {
      wrong(
        `\`{${name}}\` may be absent: require it, give it a default, or use \`{ "if": "${name}", "arguments": […] }\``,
      );
    }
  }
  for (const name of valuesIn(template).filter((name) => !Object.hasOwn(values, name))) {
    wrong(`\`{$${name}}\` needs a text of that name in \`values\``);
  }
  return withValues(template, values);
}

const shells = /^(?:a|ba|c|da|fi|k|tc|z)?sh$|^(?:busybox|cmd|command\.com)$/;
const powershell = /^(?:powershell|pwsh)$/;

/** INVARIANT: the program is named by the configuration alone, and it is none that would read an argument as commands. */
function declaredProgram(
  { command }: ActionFile,
  template: Template,
  rest: readonly Template[],
  wrong: (message: string) => void,
): Declaration['program'] {
  const [written] = command;
  if (typeof written !== 'string' || parametersIn(template).length > 0) {
    wrong('the program is fixed: a text without parameters');
    return [''];
  }
  const file = template.arguments
    .flatMap(({ parts }) => parts.map((part) => ('text' in part ? part.text : '')))
    .join('');
  if (file.startsWith('latchkey:')) {
    const shipped = shippedProgram(file.slice('latchkey:'.length));
    if (!shipped)
      wrong(`there is no \`${file}\`, only ${shippedPrograms.map((each) => `\`latchkey:${each}\``).join(', ')}`);
    return shipped ?? [''];
  }
  if (!isAbsolute(file) && !/^[A-Za-z]:\\/.test(file)) {
    wrong('must be an absolute path, or a program that comes with the agent, such as `latchkey:inspect`');
  }
  const name = basename(file.replaceAll('\\', '/'))
    .toLowerCase()
    .replace(/\.exe$/, '');
  if (shells.test(name)) wrong('is a shell: name the program itself, or a script that names its interpreter');
  if (/\.(?:bat|cmd)$/.test(name)) wrong('is a batch file, which a shell would have to run');
  if (powershell.test(name) && rest.some((each) => parametersIn(each).length > 0) && !runsFile(command)) {
    wrong('reads its arguments as commands, unless `-File` comes before every parameter');
  }
  return [file];
}

function runsFile(command: readonly WrittenTemplate[]): boolean {
  const firstParameter = command.findIndex((each) => typeof each !== 'string' || /\{[^${]/.test(each));
  const file = command.findIndex((each) => typeof each === 'string' && each.toLowerCase() === '-file');
  return file > 0 && file < firstParameter;
}
