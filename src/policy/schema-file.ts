import { checkParseSchema, schemaToJsonWithResolvedTypes } from '@cedar-policy/cedar-wasm/nodejs';
import type { DetailedError, SchemaJson, Type, TypeOfAttribute } from '@cedar-policy/cedar-wasm/nodejs';
import { tooMuchInSchema } from './cedar-text.ts';
import type { FactType } from './engine.ts';
import { compareText, indexOfByte, mistakeAt } from './mistake.ts';
import type { Mistake } from './mistake.ts';
import { engineMistakes } from './policy-file.ts';

/** The schema of a bundle: all its `.cedarschema` files read as one. */
export interface PolicySchema {
  readonly text: string;
  readonly actions: ReadonlyMap<string, readonly string[]>;
  readonly facts: ReadonlyMap<string, FactType>;
  /** Makes a mistake that stands where the pattern first matches, or at the schema's beginning. */
  readonly mistake: (pattern: RegExp, message: string) => Mistake;
}

interface SchemaFile {
  readonly file: string;
  readonly text: string;
}

/** Reads the schema; null with its mistakes when it cannot be used. */
export function readSchema(files: readonly SchemaFile[]): { schema: PolicySchema | null; mistakes: Mistake[] } {
  if (files.length === 0) {
    return { schema: null, mistakes: [mistakeAt('schema.cedarschema', '', 0, 'the bundle has no schema')] };
  }
  const excess = files.flatMap(({ file, text }) => {
    const found = tooMuchInSchema(text);
    return found ? [mistakeAt(file, text, found.index, found.message)] : [];
  });
  if (excess.length > 0) return { schema: null, mistakes: excess };
  const syntax = files.flatMap(({ file, text }) =>
    errorsOf(text)
      .filter(isSyntax)
      .flatMap((error) => engineMistakes(file, text, { text, start: 0 }, error)),
  );
  if (syntax.length > 0) return { schema: null, mistakes: syntax };

  const text = files.map((file) => file.text).join('\n');
  const resolved = schemaToJsonWithResolvedTypes(text);
  const errors = resolved.type === 'failure' ? resolved.errors : errorsOf(text);
  if (resolved.type === 'failure' || errors.length > 0) {
    return { schema: null, mistakes: errors.flatMap((error) => mistakesInJoined(files, text, error)) };
  }
  const mistake = (pattern: RegExp, message: string) => inJoined(files, Math.max(0, text.search(pattern)), message);
  const { facts, mistakes } = factsOf(resolved.json, mistake);
  return { schema: { text, actions: actionsOf(resolved.json), facts, mistake }, mistakes };
}

function errorsOf(text: string): DetailedError[] {
  const parsed = checkParseSchema(text);
  return parsed.type === 'failure' ? parsed.errors : [];
}

/** What is wrong in one file alone; a name that is missing in it may be declared in another. */
function isSyntax(error: DetailedError): boolean {
  return error.message.includes('error parsing schema');
}

function mistakesInJoined(files: readonly SchemaFile[], text: string, error: DetailedError): Mistake[] {
  const [location] = error.sourceLocations ?? [];
  return engineMistakes('', text, { text, start: 0 }, { ...error, related: [] })
    .map(({ message }) => inJoined(files, location ? indexOfByte(text, location.start) : 0, message))
    .concat((error.related ?? []).flatMap((other) => mistakesInJoined(files, text, other)));
}

/** The place in its own file of an index into the files joined by line ends. */
function inJoined(files: readonly SchemaFile[], index: number, message: string): Mistake {
  let start = 0;
  for (const { file, text } of files) {
    if (index <= start + text.length) return mistakeAt(file, text, index - start, message);
    start += text.length + 1;
  }
  return mistakeAt(files[0]!.file, '', 0, message);
}

function actionsOf(json: SchemaJson<string>): Map<string, readonly string[]> {
  const actions = json['']?.actions ?? {};
  const groupsOf = (name: string): string[] => {
    const direct = (actions[name]?.memberOf ?? []).map(({ id }) => id);
    return [...new Set([...direct, ...direct.flatMap(groupsOf)])].sort(compareText);
  };
  return new Map(Object.keys(actions).map((name) => [name, groupsOf(name)]));
}

/** The attributes of `context.device.facts` of `mint`: what an agent may tell policies. */
function factsOf(
  json: SchemaJson<string>,
  mistake: PolicySchema['mistake'],
): { facts: Map<string, FactType>; mistakes: Mistake[] } {
  const { commonTypes = {}, actions = {} } = json[''] ?? {};
  const attributesOf = (type: Type<string> | undefined): Attributes => {
    const record = (type && commonTypes[type.type]) ?? type;
    return record && 'attributes' in record ? (record.attributes as Attributes) : {};
  };
  const declared = attributesOf(attributesOf(attributesOf(actions['mint']?.appliesTo?.context)['device'])['facts']);
  const facts = new Map<string, FactType>();
  const mistakes: Mistake[] = [];
  for (const [name, { type, required }] of Object.entries(declared)) {
    const known = factTypes[type];
    const here = new RegExp(`\\b${name.replaceAll(/[^\w]/g, '.')}\\b`);
    if (known === undefined) mistakes.push(mistake(here, `the fact \`${name}\` must be a String, a Long or a Bool`));
    else if (required !== false)
      mistakes.push(mistake(here, `the fact \`${name}\` must be optional: write \`${name}?\``));
    else facts.set(name, known);
  }
  return { facts, mistakes };
}

type Attributes = Record<string, TypeOfAttribute<string>>;

const factTypes: Readonly<Record<string, FactType | undefined>> = {
  String: 'String',
  Long: 'Long',
  Bool: 'Bool',
  Boolean: 'Bool',
};
