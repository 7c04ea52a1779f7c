import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import type { Static, TSchema } from 'typebox';
import { parseDuration } from '../domain/duration.ts';
import { JsonTextError, placeOfPointer, readJson } from './json-text.ts';
import type { JsonText } from './json-text.ts';
import { mistakeAt } from './mistake.ts';
import type { Mistake } from './mistake.ts';

const ajv = new Ajv2020({ allErrors: true, strict: true });
ajv.addFormat('latchkey-duration', { type: 'string', validate: (text: string) => (parseDuration(text) ?? 0) > 0 });

/** Compiles a schema; the format `latchkey-duration` is an ISO 8601 duration as the contract writes them, above zero. */
export function compile<T extends TSchema>(schema: T): ValidateFunction<Static<T>> {
  return ajv.compile<Static<T>>(schema);
}

export interface JsonFile<T> {
  /** Null when there are mistakes. */
  readonly value: T | null;
  readonly mistakes: readonly Mistake[];
  /** Makes a mistake that stands where the pointer's value does. */
  readonly mistake: (pointer: string, message: string) => Mistake;
}

/** Reads one JSON file of a bundle against its schema, with every mistake at its line. */
export function readJsonFile<T>(file: string, text: string, validate: ValidateFunction<T>): JsonFile<T> {
  let json: JsonText;
  try {
    json = readJson(text);
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    const at = mistakeAt(file, text, error.index, error.message);
    return { value: null, mistakes: [at], mistake: (_, message) => ({ ...at, message }) };
  }
  const mistake = (pointer: string, message: string) => mistakeAt(file, text, placeOfPointer(json, pointer), message);
  const { value } = json;
  if (validate(value)) return { value, mistakes: [], mistake };
  const mistakes = (validate.errors ?? []).map((error) => mistake(pointerOf(error), sentence(error)));
  return { value: null, mistakes, mistake };
}

/** Where to point: at the member that should not be there, at the second of two alike, otherwise at the value. */
function pointerOf({ instancePath, keyword, params }: ErrorObject): string {
  const { additionalProperty: name, i: later } = params as Record<string, unknown>;
  if (keyword === 'uniqueItems') return `${instancePath}/${String(later)}`;
  if (keyword !== 'additionalProperties' || typeof name !== 'string') return instancePath;
  return `${instancePath}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function sentence({ instancePath, keyword, params, message }: ErrorObject): string {
  const where = instancePath === '' ? 'the file' : `\`${instancePath.slice(1)}\``;
  const { additionalProperty, format, allowedValues } = params as Record<string, unknown>;
  if (keyword === 'additionalProperties')
    return `${where} has \`${String(additionalProperty)}\`, which is not known here`;
  if (keyword === 'uniqueItems') return `${where} has this twice`;
  if (format === 'latchkey-duration') return `${where} must be a duration above zero such as \`PT1H\` or \`P1D\``;
  if (Array.isArray(allowedValues)) return `${where} must be one of ${allowedValues.map((v) => `\`${v}\``).join(', ')}`;
  return `${where} ${message ?? 'is not as it should be'}`;
}
