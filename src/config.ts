import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { Type, type Static } from 'typebox';
import { readRotation, rotationMistakes, type Rotation } from './credentials/rotation.ts';
import { durationPattern, parseDuration } from './domain/duration.ts';
import type { InputMistake } from './domain/errors.ts';
import { shapeMistakes } from './domain/shape-mistakes.ts';
import { parseStrictJson } from './domain/strict-json.ts';
import { parseVkey } from './ledger/vkey.ts';
import { vkeyMistake } from './ledger/vkey-mistake.ts';
import { identityProvidersMistakes } from './http/identity/mistakes.ts';
import type { IdentityProviderConfig } from './http/identity/types.ts';
import type { RateLimits } from './http/context.ts';
import type { Timeouts } from './http/server.ts';

const closed = { additionalProperties: false };
const text = Type.String({ minLength: 1, maxLength: 2_000 });
const texts = Type.Array(text, { maxItems: 1_000, uniqueItems: true });
const Duration = Type.String({ pattern: durationPattern.source });
const Limit = Type.Object(
  {
    perSecond: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 }),
    burst: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  },
  closed,
);

const ConfigFile = Type.Object(
  {
    publicUrl: text,
    listen: Type.Object({ host: text, port: Type.Integer({ minimum: 0, maximum: 65_535 }) }, closed),
    region: Type.Enum(['EU', 'APAC', 'US']),
    database: Type.Union([
      Type.Object({ embedded: text }, closed),
      Type.Object(
        {
          url: text,
          adminUrl: Type.Optional(text),
          poolSize: Type.Optional(Type.Integer({ minimum: 2, maximum: 1_000 })),
        },
        closed,
      ),
    ]),
    identityProviders: Type.Array(
      Type.Object(
        {
          issuer: text,
          audience: text,
          claims: Type.Object(
            {
              subject: text,
              name: Type.Optional(text),
              email: Type.Optional(text),
              teams: Type.Optional(text),
              region: Type.Optional(text),
              employer: Type.Optional(text),
              trainingValidUntil: Type.Optional(text),
              human: Type.Optional(text),
            },
            closed,
          ),
          allowedTeams: Type.Optional(texts),
          allowedEmployers: Type.Optional(texts),
          teamNames: Type.Optional(Type.Record(Type.String(), text)),
          clients: Type.Optional(texts),
          maxTokenAge: Type.Optional(Duration),
          jwksUri: Type.Optional(text),
          privateNetwork: Type.Optional(Type.Boolean()),
        },
        closed,
      ),
      { minItems: 1, maxItems: 100 },
    ),
    policies: text,
    secrets: Type.Object({ directory: text }, closed),
    ledger: Type.Object(
      {
        origin: Type.String({ pattern: '^[^\\s+]{1,200}$' }),
        witnesses: Type.Optional(Type.Array(Type.Object({ url: text, key: text }, closed), { maxItems: 16 })),
        witnessesNeeded: Type.Optional(Type.Integer({ minimum: 0, maximum: 16 })),
      },
      closed,
    ),
    keys: Type.Optional(Type.Object({ rotateAfter: Type.Optional(Duration) }, closed)),
    rateLimits: Type.Optional(
      Type.Object(
        { person: Type.Optional(Limit), device: Type.Optional(Limit), address: Type.Optional(Limit) },
        closed,
      ),
    ),
    trustedProxies: Type.Optional(texts),
    timeouts: Type.Optional(Type.Object({ headers: Type.Optional(Duration), body: Type.Optional(Duration) }, closed)),
  },
  closed,
);

type ConfigFile = Static<typeof ConfigFile>;

/** The broker's configuration: read once, whole, typed. Durations are in seconds. */
export interface Config {
  readonly publicUrl: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly region: string;
  readonly database:
    { readonly embedded: string } | { readonly url: string; readonly adminUrl?: string; readonly poolSize?: number };
  readonly identityProviders: readonly IdentityProviderConfig[];
  readonly policies: string;
  readonly secrets: { readonly directory: string };
  readonly ledger: {
    readonly origin: string;
    /** Who is asked to cosign each checkpoint; keys are C2SP vkeys of type 0x04. */
    readonly witnesses: readonly { readonly url: string; readonly key: string }[];
    /** How many of them must have cosigned the checkpoint of a receipt. */
    readonly witnessesNeeded: number;
  };
  readonly keys: Rotation;
  readonly rateLimits: RateLimits;
  readonly trustedProxies: readonly string[];
  readonly timeouts: Timeouts;
}

const defaultLimits: RateLimits = {
  person: { perSecond: 50, burst: 200 },
  device: { perSecond: 50, burst: 200 },
  address: { perSecond: 20, burst: 100 },
};

/** In seconds. */
const defaultTimeouts: Timeouts = { headers: 15, body: 10 };
const longestTimeout = 300;

/** Every mistake of a configuration, each with its JSON pointer. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly mistakes: readonly InputMistake[];
  constructor(file: string, mistakes: readonly InputMistake[]) {
    super([`${file} cannot be used:`, ...mistakes.map((m) => `  ${m.pointer || '/'}: ${m.message}`)].join('\n'));
    this.mistakes = mistakes;
  }
}

/** Reads and checks the configuration file. @throws ConfigError with all mistakes together. */
export async function readConfig(file: string): Promise<Config> {
  let value: unknown;
  try {
    value = parseStrictJson(await readFile(file, 'utf8'));
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code;
    throw new ConfigError(file, [
      { pointer: '', message: missing ? `cannot be read (${missing})` : 'is not JSON, or names a member twice' },
    ]);
  }
  return parseConfig(value, file);
}

/** Checks a configuration. @throws ConfigError with all mistakes together. */
export function parseConfig(value: unknown, file = 'the configuration'): Config {
  const validate = new Ajv2020({ strict: true, allErrors: true }).compile<ConfigFile>(ConfigFile);
  const shaped = validate(value);
  const shape = mistakesOfShape(validate.errors ?? [], value);
  const mistakes = [...shape, ...meaningMistakes(value, shape)];
  if (!shaped || mistakes.length > 0) throw new ConfigError(file, mistakes);
  const { rateLimits, trustedProxies = [], timeouts, identityProviders, ledger, keys, ...rest } = value;
  return {
    ...rest,
    identityProviders: identityProviders.map(providerOf),
    ledger: { witnesses: [], witnessesNeeded: 0, ...ledger },
    keys: readRotation(keys),
    rateLimits: { ...defaultLimits, ...rateLimits },
    trustedProxies,
    timeouts: {
      headers: timeouts?.headers === undefined ? defaultTimeouts.headers : parseDuration(timeouts.headers)!,
      body: timeouts?.body === undefined ? defaultTimeouts.body : parseDuration(timeouts.body)!,
    },
  };
}

function providerOf({ maxTokenAge, ...provider }: ConfigFile['identityProviders'][number]): IdentityProviderConfig {
  return { ...provider, ...(maxTokenAge !== undefined && { maxTokenAge: parseDuration(maxTokenAge)! }) };
}

/** What is wrong beyond the shape, in all parts whose shape is right: so that every mistake is told at once. */
function meaningMistakes(value: unknown, shape: readonly InputMistake[]): InputMistake[] {
  const file: Partial<ConfigFile> | null = typeof value === 'object' ? value : null;
  const sound = (pointer: string): boolean =>
    !shape.some((mistake) => mistake.pointer === pointer || mistake.pointer.startsWith(`${pointer}/`));
  const part = <K extends keyof ConfigFile>(
    name: K,
    check: (value: NonNullable<ConfigFile[K]>) => InputMistake[],
  ): InputMistake[] => {
    const given = file?.[name];
    return given !== undefined && given !== null && sound(`/${name}`) ? check(given) : [];
  };
  const providers = file?.identityProviders;
  return [
    ...part('publicUrl', (publicUrl) => urlMistakes(publicUrl, '/publicUrl')),
    ...(Array.isArray(providers) && sound('/identityProviders')
      ? identityProvidersMistakes(providers.map(providerOf), '/identityProviders')
      : []),
    ...part('database', databaseMistakes),
    ...part('ledger', witnessMistakes),
    ...part('keys', rotationMistakes),
    ...part('trustedProxies', proxyMistakes),
    ...part('timeouts', timeoutMistakes),
  ];
}

function mistakesOfShape(errors: readonly ErrorObject[], value: unknown): InputMistake[] {
  const database = (value as { database?: unknown } | null)?.database;
  const embedded = typeof database === 'object' && database !== null && 'embedded' in database;
  // Of the two forms of `database`, only what is wrong with the one that was meant says anything.
  const beside = `#/properties/database/anyOf/${embedded ? 1 : 0}/`;
  return shapeMistakes(errors.filter((error) => error.keyword !== 'anyOf' && !error.schemaPath.startsWith(beside)));
}

const loopback = /^(127(\.\d{1,3}){3}|\[::1\]|localhost)$/;

function urlMistakes(text: string, pointer: string): InputMistake[] {
  if (!URL.canParse(text)) return [{ pointer, message: 'is not a URL' }];
  const url = new URL(text);
  if (url.protocol === 'http:' && !loopback.test(url.hostname)) {
    return [{ pointer, message: 'must be `https` unless the host is loopback' }];
  }
  if (!['http:', 'https:'].includes(url.protocol)) return [{ pointer, message: 'must be `https`' }];
  if (url.username || url.password || url.search || url.hash)
    return [{ pointer, message: 'may hold no user, query or fragment' }];
  if (text.endsWith('/')) return [{ pointer, message: 'must not end in a slash' }];
  return [];
}

function databaseMistakes(database: ConfigFile['database']): InputMistake[] {
  const urls =
    'embedded' in database
      ? []
      : ([
          ['url', database.url],
          ['adminUrl', database.adminUrl],
        ] as const);
  return urls
    .filter(([, url]) => url !== undefined && !/^postgres(ql)?:\/\/./.test(url))
    .map(([name]) => ({ pointer: `/database/${name}`, message: 'must be a `postgres://` URL' }));
}

function witnessMistakes({ witnesses = [], witnessesNeeded = 0 }: ConfigFile['ledger']): InputMistake[] {
  const mistakes = witnesses.flatMap(({ url, key }, index): InputMistake[] => {
    const pointer = `/ledger/witnesses/${index}`;
    const message = vkeyMistake(key, 'cosignature');
    return [
      ...urlMistakes(url, `${pointer}/url`),
      ...(message === null ? [] : [{ pointer: `${pointer}/key`, message }]),
    ];
  });
  if (mistakes.length > 0) return mistakes;
  const keys = new Set<string>();
  for (const [index, { key }] of witnesses.entries()) {
    const bytes = parseVkey(key).bytes.toString('hex');
    if (keys.has(bytes)) mistakes.push({ pointer: `/ledger/witnesses/${index}/key`, message: 'is there already' });
    keys.add(bytes);
  }
  if (witnessesNeeded > keys.size) {
    mistakes.push({ pointer: '/ledger/witnessesNeeded', message: `is more than the ${keys.size} witnesses` });
  }
  return mistakes;
}

const networks = ['loopback', 'linklocal', 'uniquelocal'];

/** A proxy is named by its address or its network: whoever is believed about callers' addresses must be known. */
function proxyMistakes(proxies: readonly string[]): InputMistake[] {
  return proxies.flatMap((proxy, index) => {
    const [address = '', prefix, ...more] = proxy.split('/');
    const version = isIP(address);
    const length = prefix === undefined ? 1 : /^\d{1,3}$/.test(prefix) ? Number(prefix) : 0;
    const sound = version > 0 && more.length === 0 && length >= 1 && length <= (version === 4 ? 32 : 128);
    if (sound || networks.includes(proxy)) return [];
    const message = `\`${proxy}\` is no address, no network such as \`10.0.0.0/8\`, and none of \`${networks.join('`, `')}\``;
    return [{ pointer: `/trustedProxies/${index}`, message }];
  });
}

function timeoutMistakes(timeouts: NonNullable<ConfigFile['timeouts']>): InputMistake[] {
  return Object.entries(timeouts).flatMap(([name, text]) => {
    const seconds = parseDuration(text) ?? 0;
    const sound = seconds >= 1 && seconds <= longestTimeout;
    return sound ? [] : [{ pointer: `/timeouts/${name}`, message: 'must lie between `PT1S` and `PT5M`' }];
  });
}
