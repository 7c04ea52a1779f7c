import type { InputMistake } from './errors.ts';

/** What a JSON Schema validator says is wrong, as ajv says it. */
export interface ShapeError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: unknown;
  readonly message?: string | undefined;
}

/** The mistakes of a file's shape, each once, each at the place that has to change: a member that lacks or is too much. */
export function shapeMistakes(errors: readonly ShapeError[]): InputMistake[] {
  const mistakes = errors.map((error) => {
    const params = error.params as Readonly<Record<string, unknown>>;
    const name = params['missingProperty'] ?? params['additionalProperty'];
    const place = typeof name === 'string' ? `/${pointerSegment(name)}` : '';
    const allowed = (params['allowedValues'] ?? []) as readonly unknown[];
    const messages: Readonly<Record<string, string>> = {
      required: 'is missing',
      additionalProperties: 'is not known',
      enum: `must be one of ${allowed.map((value) => `\`${String(value)}\``).join(', ')}`,
    };
    return { pointer: error.instancePath + place, message: messages[error.keyword] ?? error.message ?? 'is not valid' };
  });
  return mistakes.filter(
    ({ pointer, message }, index) =>
      mistakes.findIndex((other) => other.pointer === pointer && other.message === message) === index,
  );
}

/** A member's name as RFC 6901 writes it in a pointer. */
export function pointerSegment(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
