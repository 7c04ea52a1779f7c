import { randomBytes } from 'node:crypto';
import {
  badParameter,
  deletedSecretNotFound,
  isBeingDeleted,
  isBeingRecovered,
  isDeletedButRecoverable,
  isDisabled,
  isPurgeProtected,
  secretNotFound,
} from './errors.ts';

export interface StoreOptions {
  /** Base of every id, such as `https://NAME.vault.azure.net`. */
  readonly url: () => string;
  readonly now: () => number;
  readonly recoverableDays: number;
  readonly purgeProtection: boolean;
  /** Milliseconds until what was deleted is seen among the deleted, what was recovered can be read, and what was purged is gone. */
  readonly delays: { readonly deletion: number; readonly recovery: number; readonly purge: number };
}

interface Attributes {
  enabled: boolean;
  nbf?: number;
  exp?: number;
  readonly created: number;
  updated: number;
}

interface Version {
  readonly version: string;
  readonly value: string;
  contentType?: string;
  tags?: Record<string, string>;
  readonly attributes: Attributes;
}

interface Secret {
  /** As it was written at first; names are compared without regard to case. */
  readonly name: string;
  /** In the order in which they were written. */
  readonly versions: Version[];
  readableFrom: number;
  deleted?: { readonly on: number; readonly seenFrom: number };
}

/** What a PUT or PATCH may say; anything else was refused before. */
export interface SecretParameters {
  readonly value?: string;
  readonly contentType?: string;
  readonly tags?: Record<string, string>;
  readonly attributes?: { readonly enabled?: boolean; readonly nbf?: number; readonly exp?: number };
}

/** The secrets of one vault, as the service keeps them. Every method answers with the body of the documented answer. */
export class SecretStore {
  readonly #options: StoreOptions;
  readonly #secrets = new Map<string, Secret>();
  readonly #purgedUntil = new Map<string, number>();

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  set(name: string, parameters: SecretParameters): object {
    const { now } = this.#options;
    const key = name.toLowerCase();
    if ((this.#purgedUntil.get(key) ?? 0) > now()) throw isBeingDeleted(name);
    const known = this.#secrets.get(key);
    if (known?.deleted) throw known.deleted.seenFrom > now() ? isBeingDeleted(name) : isDeletedButRecoverable(name);
    if (known && known.readableFrom > now()) throw isBeingRecovered(name);
    const secret = known ?? { name, versions: [], readableFrom: 0 };
    this.#secrets.set(key, secret);
    const second = this.#second();
    const { value = '', attributes = {}, contentType, tags } = parameters;
    const version: Version = {
      version: randomBytes(16).toString('hex'),
      value,
      attributes: { enabled: true, ...attributes, created: second, updated: second },
      ...(contentType !== undefined && { contentType }),
      ...(tags && { tags }),
    };
    secret.versions.push(version);
    return { value, ...this.#describe(secret, version) };
  }

  get(name: string, version: string): object {
    const [secret, found] = this.#find(name, version);
    if (!found.attributes.enabled) throw isDisabled('get');
    return { value: found.value, ...this.#describe(secret, found) };
  }

  update(name: string, version: string, { attributes = {}, contentType, tags }: SecretParameters): object {
    const [secret, found] = this.#find(name, version);
    Object.assign(found.attributes, attributes, { updated: this.#second() });
    if (contentType !== undefined) found.contentType = contentType;
    if (tags) found.tags = tags;
    return this.#describe(secret, found);
  }

  /** Versions of one secret, in the order of their ids; of a name that is not there, none. */
  listVersions(name: string): object[] {
    const secret = this.#readable(name);
    if (!secret) return [];
    const byId = [...secret.versions].sort((a, b) => (a.version < b.version ? -1 : 1));
    return byId.map((version) => this.#describe(secret, version));
  }

  list(): object[] {
    const names = [...this.#secrets.keys()].sort();
    return names.flatMap((name) => {
      const secret = this.#readable(name);
      if (!secret) return [];
      return [
        { ...this.#describe(secret, secret.versions.at(-1)!), id: `${this.#options.url()}/secrets/${secret.name}` },
      ];
    });
  }

  delete(name: string): object {
    const secret = this.#readable(name);
    if (!secret) throw secretNotFound(name);
    const { now, delays } = this.#options;
    secret.deleted = { on: this.#second(), seenFrom: now() + delays.deletion };
    return this.#describeDeleted(secret);
  }

  getDeleted(name: string): object {
    return this.#describeDeleted(this.#deleted(name));
  }

  listDeleted(): object[] {
    const { now } = this.#options;
    const deleted = [...this.#secrets.values()].filter((secret) => secret.deleted && secret.deleted.seenFrom <= now());
    return deleted.map((secret) => this.#describeDeleted(secret));
  }

  recover(name: string): object {
    const secret = this.#deleted(name);
    delete secret.deleted;
    secret.readableFrom = this.#options.now() + this.#options.delays.recovery;
    return this.#describe(secret, secret.versions.at(-1)!);
  }

  purge(name: string): void {
    const secret = this.#deleted(name);
    const { now, delays, purgeProtection, url } = this.#options;
    if (purgeProtection) throw isPurgeProtected(new URL(url()).hostname.split('.')[0]!);
    this.#secrets.delete(secret.name.toLowerCase());
    this.#purgedUntil.set(secret.name.toLowerCase(), now() + delays.purge);
  }

  /** Every value that it holds, for a test to look for elsewhere. */
  values(): string[] {
    return [...this.#secrets.values()].flatMap(({ versions }) => versions.map(({ value }) => value));
  }

  #second(): number {
    return Math.floor(this.#options.now() / 1000);
  }

  #readable(name: string): Secret | null {
    const secret = this.#secrets.get(name.toLowerCase());
    return secret && !secret.deleted && secret.readableFrom <= this.#options.now() ? secret : null;
  }

  #deleted(name: string): Secret {
    const secret = this.#secrets.get(name.toLowerCase());
    if (!secret?.deleted || secret.deleted.seenFrom > this.#options.now()) throw deletedSecretNotFound(name);
    return secret;
  }

  /** @param version the newest when it is empty, whether that is enabled or not. */
  #find(name: string, version: string): [Secret, Version] {
    const secret = this.#readable(name);
    if (!secret) throw secretNotFound(name);
    const found = version === '' ? secret.versions.at(-1) : secret.versions.find((other) => other.version === version);
    if (!found) throw secretNotFound(`${name}/${version}`);
    return [secret, found];
  }

  #describe({ name }: Secret, { version, attributes, contentType, tags }: Version): object {
    const { recoverableDays, purgeProtection, url } = this.#options;
    const recoveryLevel = `${recoverableDays < 90 ? 'CustomizedRecoverable' : 'Recoverable'}${purgeProtection ? '' : '+Purgeable'}`;
    const { enabled, nbf, exp, created, updated } = attributes;
    return {
      ...(contentType !== undefined && { contentType }),
      id: `${url()}/secrets/${name}/${version}`,
      attributes: {
        enabled,
        ...(nbf !== undefined && { nbf }),
        ...(exp !== undefined && { exp }),
        created,
        updated,
        recoveryLevel,
        recoverableDays,
      },
      ...(tags && { tags }),
    };
  }

  #describeDeleted(secret: Secret): object {
    const { url, recoverableDays } = this.#options;
    const deletedDate = secret.deleted!.on;
    return {
      recoveryId: `${url()}/deletedsecrets/${secret.name}`,
      deletedDate,
      scheduledPurgeDate: deletedDate + recoverableDays * 86_400,
      ...this.#describe(secret, secret.versions.at(-1)!),
    };
  }
}

const largestValue = 25_600;
const mostTags = 15;
const longestTag = 256;

/** Reads the body of a PUT or PATCH. @throws 400 as the service does. */
export function readParameters(text: string, needsValue: boolean): SecretParameters {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw badParameter('The request body is not valid JSON.');
  }
  const { value, contentType, tags, attributes } = (body ?? {}) as Record<string, unknown>;
  if (needsValue && typeof value !== 'string') throw badParameter('The property "value" is required.');
  if (typeof value === 'string' && value.length > largestValue) throw badParameter('The secret value is too long.');
  const texts = tags === undefined ? [] : Object.entries(tags as Record<string, string>);
  if (texts.length > mostTags || texts.some(([key, tag]) => key.length > longestTag || tag.length > longestTag)) {
    throw badParameter('The tags are too many or too long.');
  }
  return {
    ...(needsValue && { value: value as string }),
    ...(typeof contentType === 'string' && { contentType }),
    ...(tags !== undefined && { tags: tags as Record<string, string> }),
    ...(attributes !== undefined && { attributes: attributesOf(attributes as Record<string, unknown>) }),
  };
}

function attributesOf({ enabled, nbf, exp }: Record<string, unknown>): NonNullable<SecretParameters['attributes']> {
  if (typeof nbf === 'number' && typeof exp === 'number' && exp <= nbf) {
    throw badParameter('The expiry date must be after the activation date.');
  }
  return {
    ...(typeof enabled === 'boolean' && { enabled }),
    ...(typeof nbf === 'number' && { nbf }),
    ...(typeof exp === 'number' && { exp }),
  };
}
