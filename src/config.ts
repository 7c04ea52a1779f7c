import { readFile } from 'node:fs/promises';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { Type, type Static } from 'typebox';
import { durationPattern, parseDuration } from './domain/duration.ts';
import type { InputMistake } from './domain/errors.ts';
import { identityProvidersMistakes } from './http/identity/mistakes.ts';
import type { IdentityProviderConfig } from './http/identity/types.ts';
import type { RateLimits } from './http/context.ts';

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
    region: Type.Union([Type.Literal('EU'), Type.Literal('APAC'), Type.Literal('US')]),
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
    ledger: Type.Object({ origin: Type.String({ pattern: '^[^\\s+]{1,200}$' }) }, closed),
    rateLimits: Type.Optional(
      Type.Object(
        { person: Type.Optional(Limit), device: Type.Optional(Limit), address: Type.Optional(Limit) },
        closed,
      ),
    ),
    trustedProxies: Type.Optional(texts),
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
  readonly ledger: { readonly origin: string };
  readonly rateLimits: RateLimits;
  readonly trustedProxies: readonly string[];
}

const defaultLimits: RateLimits = {
  person: { perSecond: 50, burst: 200 },
  device: { perSecond: 50, burst: 200 },
  address: { perSecond: 20, burst: 100 },
};

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
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code;
    throw new ConfigError(file, [{ pointer: '', message: missing ? `cannot be read (${missing})` : 'is not JSON' }]);
  }
  return parseConfig(value, file);
}

/** Checks a configuration. @throws ConfigError with all mistakes together. */
export function parseConfig(value: unknown, file = 'the configuration'): Config {
  const validate = new Ajv2020({ strict: true, allErrors: true }).compile<ConfigFile>(ConfigFile);
  if (!validate(value)) throw new ConfigError(file, shapeMistakes(validate.errors ?? []));
  const identityProviders = value.identityProviders.map(({ maxTokenAge, ...provider }) => ({
    ...provider,
    ...(maxTokenAge !== undefined && { maxTokenAge: parseDuration(maxTokenAge)! }),
  }));
  const mistakes = [
    ...publicUrlMistakes(value.publicUrl),
    ...identityProvidersMistakes(identityProviders, '/identityProviders'),
    ...databaseMistakes(value.database),
  ];
  if (mistakes.length > 0) throw new ConfigError(file, mistakes);
  const { rateLimits, trustedProxies = [], ...rest } = value;
  return { ...rest, identityProviders, rateLimits: { ...defaultLimits, ...rateLimits }, trustedProxies };
}

function shapeMistakes(errors: readonly ErrorObject[]): InputMistake[] {
  const telling = errors.filter((error) => error.keyword !== 'anyOf');
  return (telling.length > 0 ? telling : errors).map((error) => {
    const params = error.params as Record<string, unknown>;
    const name = params.missingProperty ?? params.additionalProperty;
    const pointer = typeof name === 'string' ? `${error.instancePath}/${name}` : error.instancePath;
    const messages: Record<string, string> = {
      required: 'is missing',
      additionalProperties: 'is not known',
      const: `must be \`${String(params.allowedValue)}\``,
    };
    return { pointer, message: messages[error.keyword] ?? error.message ?? 'is not valid' };
  });
}

const loopback = /^(127(\.\d{1,3}){3}|\[::1\]|localhost)$/;

function publicUrlMistakes(publicUrl: string): InputMistake[] {
  const pointer = '/publicUrl';
  if (!URL.canParse(publicUrl)) return [{ pointer, message: 'is not a URL' }];
  const url = new URL(publicUrl);
  if (url.protocol === 'http:' && !loopback.test(url.hostname)) {
    return [{ pointer, message: 'must be `https` unless the host is loopback' }];
  }
  if (!['http:', 'https:'].includes(url.protocol)) return [{ pointer, message: 'must be `https`' }];
  if (url.username || url.password || url.search || url.hash)
    return [{ pointer, message: 'may hold no user, query or fragment' }];
  if (publicUrl.endsWith('/')) return [{ pointer, message: 'must not end in a slash' }];
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
