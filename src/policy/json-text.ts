/** A JSON text read with the places of its values, so that a mistake found later can be shown where it stands. */
export interface JsonText {
  readonly value: unknown;
  /** JSON pointer (RFC 6901) of each value → where it begins in the text. */
  readonly places: ReadonlyMap<string, number>;
}

/** What is wrong with a JSON text, and where. */
export class JsonTextError extends Error {
  readonly index: number;
  constructor(index: number, message: string) {
    super(message);
    this.index = index;
  }
}

const deepest = 32;
const scalar =
  /"(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;

/**
 * Reads JSON (RFC 8259) strictly: a name used twice in one object and nesting deeper than 32 are mistakes too.
 * @throws {JsonTextError} at the first mistake.
 */
export function readJson(text: string): JsonText {
  const places = new Map<string, number>();
  let at = text.startsWith('\uFEFF') ? 1 : 0;

  const fail = (message: string, index = at): never => {
    throw new JsonTextError(index, message);
  };
  const skipSpace = () => {
    while (at < text.length && ' \t\n\r'.includes(text[at]!)) at++;
  };
  const take = (char: string) => {
    skipSpace();
    if (text[at] !== char) return false;
    at++;
    return true;
  };
  const need = (...chars: string[]): string => {
    const found = chars.find(take);
    return found ?? fail(`expected ${chars.map((char) => `\`${char}\``).join(' or ')}`);
  };
  const readScalar = (expected: string): unknown => {
    scalar.lastIndex = at;
    const match = scalar.exec(text);
    if (!match) return fail(at < text.length ? `expected ${expected}` : 'the text ends too early');
    at = scalar.lastIndex;
    return JSON.parse(match[0]);
  };

  const readArray = (pointer: string, depth: number): unknown[] => {
    const items: unknown[] = [];
    if (take(']')) return items;
    do items.push(readValue(`${pointer}/${items.length}`, depth));
    while (need(',', ']') === ',');
    return items;
  };
  const readObject = (pointer: string, depth: number): unknown => {
    const members = new Map<string, unknown>();
    if (take('}')) return {};
    do {
      skipSpace();
      const start = at;
      if (text[at] !== '"') fail('expected a name in double quotes');
      const name = readScalar('a name') as string;
      if (members.has(name)) fail(`\`${name}\` stands here twice`, start);
      need(':');
      members.set(name, readValue(`${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth));
    } while (need(',', '}') === ',');
    return Object.fromEntries(members);
  };
  const readValue = (pointer: string, depth: number): unknown => {
    skipSpace();
    places.set(pointer, at);
    if (depth >= deepest) fail('nested too deeply');
    if (take('{')) return readObject(pointer, depth + 1);
    if (take('[')) return readArray(pointer, depth + 1);
    return readScalar('a value');
  };

  const value = readValue('', 0);
  skipSpace();
  if (at < text.length) fail('expected the end of the text');
  return { value, places };
}

/** Where a pointer's value stands; for one that is missing, where the nearest value around it does. */
export function placeOfPointer(json: JsonText, pointer: string): number {
  for (let p = pointer; ; p = p.slice(0, p.lastIndexOf('/'))) {
    const index = json.places.get(p);
    if (index !== undefined) return index;
    if (p === '') return 0;
  }
}
