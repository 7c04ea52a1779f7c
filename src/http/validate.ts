import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { TSchema } from 'typebox';
import { LatchkeyError, type InputMistake } from '../domain/errors.ts';

const options = {
  strict: true,
  allErrors: true,
  strictTypes: false,
  allowUnionTypes: true,
  unicodeRegExp: true,
} as const;
const strict = new Ajv2020(options);
/** Queries are texts: numbers and lists are read out of them. */
const lenient = new Ajv2020({ ...options, coerceTypes: 'array', useDefaults: true });

const mostMistakes = 20;

/**
 * Makes a check of a schema.
 * @returns a function that throws `invalid-request`, naming every mistake with its place (at most twenty).
 */
export function checker(schema: TSchema, kind: 'body' | 'query' | 'params'): (value: unknown) => void {
  const validate = compiled(kind === 'query' ? lenient : strict, schema);
  return (value) => {
    if (validate(value)) return;
    const errors = (validate.errors ?? []).filter((error) => !['if', 'anyOf'].includes(error.keyword));
    const mistakes = (errors.length > 0 ? errors : (validate.errors ?? [])).slice(0, mostMistakes).map(mistakeOf);
    const [first] = mistakes;
    const where = kind === 'body' ? first?.pointer || 'the body' : first?.pointer.slice(1) || kind;
    throw new LatchkeyError('invalid-request', `\`${where}\` ${first?.message ?? 'is not valid'}`, {
      errors: kind === 'body' ? mistakes : mistakes.map(outsideBody),
    });
  };
}

/** Many routes have the same parameters: each schema is compiled once, which is most of what starting costs. */
function compiled(ajv: Ajv2020, schema: TSchema): ValidateFunction {
  const known = validators.get(ajv) ?? new Map<string, ValidateFunction>();
  validators.set(ajv, known);
  const text = JSON.stringify(schema);
  const validate = known.get(text) ?? ajv.compile(schema);
  known.set(text, validate);
  return validate;
}

const validators = new Map<Ajv2020, Map<string, ValidateFunction>>();

/** A pointer leads into a body; what is wrong elsewhere is told by its name. */
function outsideBody({ pointer, message }: InputMistake): InputMistake {
  return { pointer: '', message: `\`${pointer.slice(1)}\` ${message}` };
}

function mistakeOf(error: ErrorObject): InputMistake {
  const params = error.params as Record<string, unknown>;
  const at = (name: unknown): string =>
    `${error.instancePath}/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`;
  switch (error.keyword) {
    case 'required':
      return { pointer: at(params.missingProperty), message: 'is missing' };
    case 'additionalProperties':
      return { pointer: at(params.additionalProperty), message: 'is not known here' };
    case 'enum':
      return {
        pointer: error.instancePath,
        message: `must be one of ${(params.allowedValues as unknown[]).map((v) => `\`${String(v)}\``).join(', ')}`,
      };
    case 'pattern':
      return { pointer: error.instancePath, message: 'does not have the right form' };
    default:
      return { pointer: error.instancePath, message: error.message ?? 'is not valid' };
  }
}
