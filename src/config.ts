import { readFile } from 'node:fs/promises';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { Type, type Static } from 'typebox';
import { readRotation, rotationMistakes, type Rotation } from './credentials/rotation.ts';
import { durationPattern, parseDuration } from './domain/duration.ts';
import type { InputMistake } from './domain/errors.ts';
import { shapeMistakes } from './domain/shape-mistakes.ts';
import { parseStrictJson } from './domain/strict-json.ts';
import { parseVkey } from './ledger/vkey.ts';
import { proxyMistake } from './http/proxy-mistake.ts';
import { urlMistake } from './http/url-mistake.ts';
import { recoveryKeyMistake, vkeyMistake } from './ledger/vkey-mistake.ts';
import { keyVaultMistake } from './credentials/key-vault-url.ts';
import type { Secrets } from './credentials/open-vault.ts';
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
    secrets: Type.Union([Type.Object({ directory: text }, closed), Type.Object({ keyVault: text }, closed)]),
    ledger: Type.Object(
      {
        origin: Type.String({ pattern: '^[^\\s+]{1,200}$' }),
        witnesses: Type.Optional(Type.Array(Type.Object({ url: text, key: text }, closed), { maxItems: 16 })),
        witnessesNeeded: Type.Optional(Type.Integer({ minimum: 0, maximum: 16 })),
        recoveryKey: Type.Optional(text),
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
    metrics: Type.Optional(Type.Object({ host: text, port: Type.Integer({ minimum: 0, maximum: 65_535 }) }, closed)),
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
  readonly secrets: Secrets;
  readonly ledger: {
    readonly origin: string;
    /** Who is asked to cosign each checkpoint; keys are C2SP vkeys of type 0x04. */
    readonly witnesses: readonly { readonly url: string; readonly key: string }[];
    /** How many of them must have cosigned the checkpoint of a receipt. */
    readonly witnessesNeeded: number;
    /** The vkey that alone may replace the ledger's key should it leak; the key itself is kept far from any broker. */
    readonly recoveryKey?: string;
  };
  readonly keys: Rotation;
  readonly rateLimits: RateLimits;
  readonly trustedProxies: readonly string[];
  /** Where this process tells its figures, to whoever can reach it there; absent means nowhere. */
  readonly metrics?: { readonly host: string; readonly port: number };
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
  const { rateLimits, trustedProxies = [], timeouts, identityProviders, ledger, keys, secrets, ...rest } = value;
  const token = takeKeyVaultToken();
  return {
    ...rest,
    secrets: { ...secrets, ...(token !== undefined && 'keyVault' in secrets && { token: () => token }) },
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
    ...part('publicUrl', (publicUrl) => mistakeAt('/publicUrl', urlMistake(publicUrl))),
    ...(Array.isArray(providers) && sound('/identityProviders')
      ? identityProvidersMistakes(providers.map(providerOf), '/identityProviders')
      : []),
    ...part('database', (database) =>
      (['url', 'adminUrl'] as const).flatMap((name) => {
        const url = 'url' in database ? database[name] : undefined;
        const sound = url === undefined || /^postgres(ql)?:\/\/./.test(url);
        return mistakeAt(`/database/${name}`, sound ? null : 'must be a `postgres://` URL');
      }),
    ),
    ...part('secrets', (secrets) =>
      'keyVault' in secrets
        ? mistakeAt('/secrets/keyVault', keyVaultMistake(secrets.keyVault, takeKeyVaultToken() !== undefined))
        : [],
    ),
    ...part('ledger', witnessMistakes),
    ...part('ledger', recoveryKeyMistakes),
    ...part('keys', rotationMistakes),
    ...part('trustedProxies', (proxies) =>
      proxies.flatMap((proxy, index) => mistakeAt(`/trustedProxies/${index}`, proxyMistake(proxy))),
    ),
    ...part('timeouts', timeoutMistakes),
  ];
}

function mistakeAt(pointer: string, message: string | null): InputMistake[] {
  return message === null ? [] : [{ pointer, message }];
}

function mistakesOfShape(errors: readonly ErrorObject[], value: unknown): InputMistake[] {
  const has = (part: 'database' | 'secrets', name: string): boolean => {
    const given = (value as Partial<Record<string, unknown>> | null)?.[part];
    return typeof given === 'object' && given !== null && name in given;
  };
  // Of two forms, only what is wrong with the one that was meant says anything.
  const beside = [
    `#/properties/database/anyOf/${has('database', 'embedded') ? 1 : 0}/`,
    `#/properties/secrets/anyOf/${has('secrets', 'keyVault') ? 0 : 1}/`,
  ];
  const isMeant = ({ keyword, schemaPath }: ErrorObject): boolean =>
    keyword !== 'anyOf' && !beside.some((form) => schemaPath.startsWith(form));
  return shapeMistakes(errors.filter(isMeant));
}

let keyVaultToken: string | undefined;

/** Takes the token out of the environment, which children inherit and operators print. */
function takeKeyVaultToken(): string | undefined {
  const { LATCHKEY_KEY_VAULT_TOKEN: given } = process.env;
  delete process.env.LATCHKEY_KEY_VAULT_TOKEN;
  return (keyVaultToken = given || keyVaultToken);
}

function recoveryKeyMistakes({ origin, recoveryKey }: ConfigFile['ledger']): InputMistake[] {
  return recoveryKey === undefined ? [] : mistakeAt('/ledger/recoveryKey', recoveryKeyMistake(recoveryKey, origin));
}

function witnessMistakes({ witnesses = [], witnessesNeeded = 0 }: ConfigFile['ledger']): InputMistake[] {
  const mistakes = witnesses.flatMap(({ url, key }, index): InputMistake[] => {
    const pointer = `/ledger/witnesses/${index}`;
    return [
      ...mistakeAt(`${pointer}/url`, urlMistake(url)),
      ...mistakeAt(`${pointer}/key`, vkeyMistake(key, 'cosignature')),
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

function timeoutMistakes(timeouts: NonNullable<ConfigFile['timeouts']>): InputMistake[] {
  return Object.entries(timeouts).flatMap(([name, text]) => {
    const seconds = parseDuration(text) ?? 0;
    const sound = seconds >= 1 && seconds <= longestTimeout;
    return sound ? [] : [{ pointer: `/timeouts/${name}`, message: 'must lie between `PT1S` and `PT5M`' }];
  });
}
