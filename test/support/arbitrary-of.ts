import * as fc from 'fast-check';

/** The part of JSON Schema that the API's schemas are written in. */
export interface JsonSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly required?: readonly string[];
}

/** A better generator where a schema alone says too little: by the name of a member, or of a text by its pattern. */
export interface Hints {
  readonly members: Readonly<Record<string, fc.Arbitrary<unknown>>>;
  readonly patterns: ReadonlyMap<string, fc.Arbitrary<unknown>>;
}

/** Generates what a schema allows. */
export function arbitraryOf(schema: JsonSchema, hints: Hints): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((each) => arbitraryOf(each, hints)));
  switch (schema.type) {
    case 'string':
      return textOf(schema, hints);
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -1_000, max: schema.maximum ?? 1_000 });
    case 'number':
      return fc.double({ noNaN: true, min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9 });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return listOf(schema, hints);
    case 'object':
      return objectOf(schema, hints);
    case undefined:
      return fc.jsonValue({ maxDepth: 3 });
    default:
      throw new Error(`no generator for the type \`${schema.type}\``);
  }
}

function textOf({ pattern, minLength = 0, maxLength = 60 }: JsonSchema, hints: Hints): fc.Arbitrary<unknown> {
  const size = { minLength, maxLength: Math.min(maxLength, Math.max(minLength, 60)) };
  if (pattern === undefined) return fc.string({ unit: 'grapheme', ...size });
  const hint = hints.patterns.get(pattern);
  if (hint) return hint;
  // A pattern that is sought rather than matched says nothing of the rest of the text.
  const matching = pattern.startsWith('^')
    ? fc.stringMatching(new RegExp(pattern))
    : fc.string({ unit: 'grapheme-ascii', ...size });
  return matching.map((text) => (pattern.startsWith('^') ? text : `x${text}`).slice(0, maxLength));
}

function listOf(
  { items = {}, minItems = 0, maxItems = 4, uniqueItems }: JsonSchema,
  hints: Hints,
): fc.Arbitrary<unknown> {
  const bounds = { minLength: minItems, maxLength: Math.min(maxItems, Math.max(minItems, 4)) };
  const item = arbitraryOf(items, hints);
  return uniqueItems
    ? fc.uniqueArray(item, { ...bounds, selector: (value) => JSON.stringify(value) })
    : fc.array(item, bounds);
}

function objectOf(schema: JsonSchema, hints: Hints): fc.Arbitrary<unknown> {
  const members = Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([name, each]) => [
      name,
      hints.members[name] ?? arbitraryOf(each, hints),
    ]),
  );
  const fixed = fc.record(members, { requiredKeys: [...(schema.required ?? [])] });
  const [open] = Object.entries(schema.patternProperties ?? {});
  if (!open) return fixed;
  const [pattern, value] = open;
  const more = fc.dictionary(fc.stringMatching(new RegExp(pattern)), arbitraryOf(value, hints), { maxKeys: 4 });
  return fc.tuple(fixed, more).map(([own, other]) => ({ ...other, ...own }));
}

/** What is almost never right, whatever was asked for. */
export const rubbish: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.constantFrom<unknown>(
    null,
    '',
    ' ',
    '\0',
    '\ud800',
    'x'.repeat(3_000),
    '__proto__',
    -1,
    1.5,
    1e308,
    2 ** 53,
    [],
    {},
  ),
  fc.constantFrom<unknown>(
    "' OR 1=1 --",
    '${jndi:ldap://x}',
    '%s%n',
    '../../..',
    '<script>',
    '\u202e',
    'NaN',
    'PT0S',
    'P1Y',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
);

/** Takes something right and spoils it in one place. */
export function spoiled(right: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.tuple(right, fc.nat(), fc.constantFrom('drop', 'replace', 'add', 'repeat'), rubbish).map((parts) => {
    const [value, where, how, instead] = parts;
    return spoil(value, where, how, instead);
  });
}

function spoil(value: unknown, where: number, how: string, instead: unknown): unknown {
  if (typeof value !== 'object' || value === null) return instead;
  if (Array.isArray(value)) {
    if (how === 'repeat' || value.length === 0) return [...(value as unknown[]), ...(value as unknown[]), instead];
    const at = where % value.length;
    const spoilt = spoil(value[at], Math.floor(where / value.length), how, instead);
    return value.with(at, spoilt);
  }
  const members = Object.entries(value as Record<string, unknown>);
  if (how === 'add' || members.length === 0) return Object.fromEntries([...members, [`m${where % 100}`, instead]]);
  const at = where % members.length;
  if (how === 'drop') return Object.fromEntries(members.toSpliced(at, 1));
  const [name, member] = members[at]!;
  const deep = typeof member === 'object' && member !== null && where % 2 === 0;
  const spoilt = deep ? spoil(member, Math.floor(where / members.length), how, instead) : instead;
  return Object.fromEntries(members.with(at, [name, spoilt]));
}
