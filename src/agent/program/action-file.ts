import { Type, type Static } from 'typebox';
import { durationPattern } from '../../domain/duration.ts';
import { dataClasses } from '../../domain/profile.ts';
import { longestText } from './parameters.ts';

const closed = { additionalProperties: false };
const text = Type.String({ minLength: 1, maxLength: 2_000 });
const shortText = Type.String({ minLength: 1, maxLength: longestText });
const name = '^[A-Za-z][A-Za-z0-9_.-]{0,63}$';

/** One argument as an action declares it; which members belong to which type is said by `declaredParameter`. */
export const ParameterFile = Type.Object(
  {
    type: Type.Enum(['text', 'path', 'integer', 'boolean']),
    description: text,
    required: Type.Optional(Type.Boolean()),
    default: Type.Optional(Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
    values: Type.Optional(Type.Array(shortText, { minItems: 1, maxItems: 100, uniqueItems: true })),
    pattern: Type.Optional(shortText),
    minimum: Type.Optional(Type.Integer({ minimum: 0 })),
    maximum: Type.Optional(Type.Integer({ minimum: 0 })),
    under: Type.Optional(text),
    example: Type.Optional(shortText),
  },
  closed,
);

/** One action: a program, its arguments, and what may be put into them. */
export const ActionFile = Type.Object(
  {
    description: text,
    dataClass: Type.Enum([...dataClasses]),
    /** The program, then a template an argument. */
    command: Type.Array(
      Type.Union([
        Type.String({ maxLength: 8_000 }),
        Type.Object(
          {
            if: Type.String({ pattern: name }),
            arguments: Type.Array(Type.String({ maxLength: 8_000 }), { minItems: 1 }),
          },
          closed,
        ),
      ]),
      { minItems: 1, maxItems: 100 },
    ),
    parameters: Type.Optional(Type.Record(Type.String({ pattern: name }), ParameterFile, closed)),
    timeLimit: Type.String({ pattern: durationPattern.source }),
    environment: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String(), closed),
    ),
    /** Added to the arguments when the action is only to say what it would do. */
    dryRun: Type.Optional(Type.Array(text, { minItems: 1, maxItems: 20 })),
  },
  closed,
);

/** Actions by scope. */
export const ActionsFile = Type.Record(
  Type.String({ pattern: '^[a-z][a-z0-9.-]*(?::[a-z0-9.-]+)?$' }),
  ActionFile,
  closed,
);

export type ParameterFile = Static<typeof ParameterFile>;
export type ActionFile = Static<typeof ActionFile>;
export type ActionsFile = Static<typeof ActionsFile>;
