import type { Actions, DeclaredAction } from '../actions.ts';
import type { ActionDescription, ParameterDescription } from '../describe-action.ts';
import { dryRunParameter, type Declaration } from './declare-action.ts';
import { judgeArguments, type Parameter } from './parameters.ts';
import { runCommand, type CommandOptions } from './run-command.ts';
import { fillTemplates } from './templates.ts';

export interface ActionsOptions extends CommandOptions {
  /** True where every action that can do so only says what it would do. */
  readonly dryRun: boolean;
}

const dryRun: Parameter = {
  name: dryRunParameter,
  type: 'boolean',
  description: 'only say what would be done',
  required: false,
};

/** What the door is to do, from what the configuration declares. */
export function actionsOf(declarations: ReadonlyMap<string, Declaration>, options: ActionsOptions): Actions {
  return new Map([...declarations].map(([scope, declaration]) => [scope, actionOf(declaration, options)]));
}

function actionOf(declaration: Declaration, options: ActionsOptions): DeclaredAction {
  const { program, templates, environment, timeLimitSeconds } = declaration;
  const parameters = declaration.dryRun ? [...declaration.parameters, dryRun] : declaration.parameters;
  return {
    about: describe(declaration, parameters),
    async prepare(args) {
      const given = await judgeArguments(parameters, args);
      const isDry = options.dryRun || given.get(dryRunParameter) === true;
      const [file, ...first] = program;
      const filled = [...first, ...fillTemplates(templates, given), ...(isDry ? (declaration.dryRun ?? []) : [])];
      const command = { file, arguments: filled, environment, timeLimitSeconds };
      return (context) => runCommand(command, context, options);
    },
  };
}

function describe(
  { description, dataClass, timeLimitSeconds }: Declaration,
  parameters: readonly Parameter[],
): ActionDescription {
  return { description, dataClass, timeLimitSeconds, parameters: parameters.map(withoutPlace) };
}

/** Where files lie on the device is not told. */
function withoutPlace(parameter: Parameter): ParameterDescription {
  const { under, ...description } = parameter;
  return under === undefined ? parameter : description;
}
