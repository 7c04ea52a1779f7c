import { LatchkeyError } from '../domain/errors.ts';

/** A version of a secret, without its value. */
export interface SecretVersion {
  readonly version: string;
  readonly createdAt: Date;
  /** False once it was disabled. */
  readonly enabled: boolean;
  /** What whoever looks after the vault has set; it says something, and keeps nobody from reading. */
  readonly notBefore: Date | null;
  readonly expiresAt: Date | null;
  /** Anyone who may list the vault reads them: never a secret. */
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * Where keys and secrets live: names with versions, of which the newest that is enabled counts. What holds:
 * - after a crash: a version is either there, whole and with its tags, or not there; what returned before lasts;
 * - on a retry: `create` of what exists changes nothing; `disable`, `remove` and `setTags` may be repeated; `addVersion`
 *   and `replace` that failed may have happened, and repeated leave a version more, with the newest counting;
 * - under concurrency: of many that create one name at once, one wins and all get the winner's value; versions added at
 *   once are all kept, in an order that every reader finds the same; of tags set at once, one caller's stay, whole;
 * - for a reader: what is disabled or removed is never given out by a call that begins after that call returned.
 *
 * Everything throws VaultUnavailable when the vault cannot be asked: that is never "none". No error quotes a value.
 */
export interface Vault {
  /** The newest enabled version's value; null when there is none. */
  get(name: string): Promise<string | null>;
  /** Keeps a secret under a name that is free. @returns what the name holds now: the given value, or the earlier one. */
  create(name: string, value: string): Promise<string>;
  /** Keeps a value in place of all that the name held: earlier versions count no more, and may be gone. */
  replace(name: string, value: string): Promise<void>;
  /** Adds a version, the newest from now on; earlier ones stay readable by their version. */
  addVersion(name: string, value: string, options?: AddOptions): Promise<SecretVersion>;
  /** All versions, oldest first, disabled ones too; none when there is no such secret. */
  versions(name: string): Promise<readonly SecretVersion[]>;
  /** The value of one version; null when there is no such version, or it is disabled. */
  getVersion(name: string, version: string): Promise<string | null>;
  /** Puts tags in place of a version's own, without making a version. @throws when there is no such version. */
  setTags(name: string, version: string, tags: Tags): Promise<void>;
  /** For ever: nobody reads that version again. @throws when there is no such version. */
  disable(name: string, version: string): Promise<void>;
  /** The name and all its versions are gone; nothing happens when they were not there. */
  remove(name: string): Promise<void>;
  /** How the vault was the last time it was asked; asks nothing. */
  health(): VaultHealth;
  close(): Promise<void>;
}

export interface VaultHealth {
  /** Whether it is asked, or known to be away and left alone for a moment, or tried again by one call. */
  readonly circuit: 'closed' | 'open' | 'half-open';
  /** Since when it has not answered; null when it has. */
  readonly awaySince: Date | null;
}

/** The vault cannot be asked now, or does not let the broker in: nothing is known of what it holds. */
export class VaultUnavailable extends LatchkeyError {
  /**
   * @param reason for whoever runs the broker: which vault, and what is wrong with it.
   * @param retryAfter seconds.
   */
  constructor(reason: string, retryAfter = 1) {
    super('unavailable', 'the vault does not answer', { retryAfter });
    this.message = reason;
  }
}

export type Tags = Readonly<Record<string, string>>;

export interface AddOptions {
  readonly tags?: Tags;
}

const names = /^[a-z][a-z0-9-]{0,100}$/;
const largestValue = 20_000;
const mostTags = 12;
const longestTag = 256;

/** @returns the name. @throws unless every vault takes it: lower-case letters, digits and dashes. */
export function requireName(name: string): string {
  if (!names.test(name)) throw new Error(`\`${name}\` is not a secret's name`);
  return name;
}

/** @throws unless every vault takes the value and the tags. */
export function requireStorable(name: string, value: string, tags: Tags = {}): void {
  requireName(name);
  if (value === '') throw new Error(`the secret \`${name}\` is to be empty`);
  if (Buffer.byteLength(value) > largestValue) {
    throw new Error(`the secret \`${name}\` is to be larger than ${largestValue} bytes`);
  }
  requireTags(name, tags);
}

/** @throws unless every vault takes the tags: at most 12, each name and value at most 256 characters. */
export function requireTags(name: string, tags: Tags): void {
  const entries = Object.entries(tags);
  const isSound = entries.every(([key, text]) => key !== '' && key.length <= longestTag && text.length <= longestTag);
  if (entries.length > mostTags || !isSound)
    throw new Error(`the secret \`${name}\` is to have tags that are too long`);
}
