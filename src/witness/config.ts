import { readFile } from 'node:fs/promises';
import type { InputMistake } from '../domain/errors.ts';
import { parseStrictJson } from '../domain/strict-json.ts';
import { isKeyName, parseVkey, type VerifierKey } from '../ledger/vkey.ts';
import { vkeyMistake } from '../ledger/vkey-mistake.ts';

/** What a witness has to be told. */
export interface WitnessConfig {
  readonly listen: { readonly host: string; readonly port: number };
  /** The name of its key. */
  readonly name: string;
  /** Where its key is, and the last checkpoints it cosigned. */
  readonly state: string;
  /** The keys of each ledger it looks after, by origin: two while a ledger changes its key. */
  readonly logs: ReadonlyMap<string, readonly VerifierKey[]>;
}

/** Every mistake of a configuration, each with its JSON pointer. */
export class WitnessConfigError extends Error {
  override readonly name = 'WitnessConfigError';
  readonly mistakes: readonly InputMistake[];
  constructor(file: string, mistakes: readonly InputMistake[]) {
    super([`${file} cannot be used:`, ...mistakes.map((m) => `  ${m.pointer || '/'}: ${m.message}`)].join('\n'));
    this.mistakes = mistakes;
  }
}

/** Reads and checks the configuration file. @throws WitnessConfigError with all mistakes together. */
export async function readWitnessConfig(file: string): Promise<WitnessConfig> {
  let value: unknown;
  try {
    value = parseStrictJson(await readFile(file, 'utf8'));
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code;
    const message = missing ? `cannot be read (${missing})` : 'is not JSON, or names a member twice';
    throw new WitnessConfigError(file, [{ pointer: '', message }]);
  }
  return parseWitnessConfig(value, file);
}

/** Checks a configuration. @throws WitnessConfigError with all mistakes together. */
export function parseWitnessConfig(value: unknown, file = 'the configuration'): WitnessConfig {
  const mistakes: InputMistake[] = [];
  const at = placeOf(value, '', mistakes);
  const whole = at.object(['listen', 'name', 'state', 'logs']);
  const listen = whole('listen').object(['host', 'port']);
  const config = {
    listen: { host: listen('host').text(), port: listen('port').integer(0, 65_535) },
    name: whole('name').text((name) => (isKeyName(name) ? null : 'holds white space or a plus sign')),
    state: whole('state').text(),
    logs: readLogs(whole('logs'), mistakes),
  };
  if (mistakes.length > 0) throw new WitnessConfigError(file, mistakes);
  return config;
}

function readLogs(at: Place, mistakes: InputMistake[]): Map<string, VerifierKey[]> {
  const logs = new Map<string, VerifierKey[]>();
  for (const entry of at.list(1, mostLogs)) {
    const log = entry.object(['origin', 'key']);
    const origin = log('origin').text((text) => (/[\n\r]/.test(text) ? 'is more than a line' : null));
    const text = log('key').text((vkey) => vkeyMistake(vkey, 'ed25519'));
    if (text === '' || vkeyMistake(text, 'ed25519') !== null) continue;
    const key = parseVkey(text);
    const known = logs.get(origin) ?? [];
    if (known.some(({ bytes }) => bytes.equals(key.bytes))) {
      mistakes.push({ pointer: entry.pointer, message: 'names an origin and key that are there already' });
    }
    logs.set(origin, [...known, key]);
  }
  return logs;
}

const mostLogs = 1_000;
const longestText = 2_000;

/** A place in the file. Reading what is not there, or not as it has to be, takes a note and gives something empty. */
interface Place {
  readonly pointer: string;
  object(members: readonly string[]): (name: string) => Place;
  list(least: number, most: number): Place[];
  text(judge?: (text: string) => string | null): string;
  integer(least: number, most: number): number;
}

const nowhere = Symbol('below something that is no object');

function placeOf(value: unknown, pointer: string, mistakes: InputMistake[]): Place {
  const mistake = (message: string, below = ''): void => {
    // What is wrong with the whole is not said again of each of its parts.
    if (value !== nowhere) mistakes.push({ pointer: pointer + below, message });
  };
  const wrong = <T>(kind: string, instead: T): T => {
    mistake(value === undefined ? 'is missing' : `must be ${kind}`);
    return instead;
  };
  return {
    pointer,
    object(members) {
      const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
      if (!isObject) wrong('an object', null);
      const found: Readonly<Record<string, unknown>> = isObject ? { ...value } : {};
      for (const name of Object.keys(found).filter((name) => !members.includes(name))) {
        mistake('is not known', `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
      }
      return (name) => placeOf(isObject ? found[name] : nowhere, `${pointer}/${name}`, mistakes);
    },
    list(least, most) {
      const isList = Array.isArray(value) && value.length >= least && value.length <= most;
      if (!isList) return wrong(`a list of ${least} to ${most}`, []);
      return value.map((each, index) => placeOf(each, `${pointer}/${index}`, mistakes));
    },
    text(judge = () => null) {
      if (typeof value !== 'string' || value === '' || value.length > longestText) {
        return wrong(`a text of 1 to ${longestText} characters`, '');
      }
      const message = judge(value);
      if (message !== null) mistake(message);
      return value;
    },
    integer(least, most) {
      const isFine = Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
      return isFine ? (value as number) : wrong(`a whole number from ${least} to ${most}`, least);
    },
  };
}
