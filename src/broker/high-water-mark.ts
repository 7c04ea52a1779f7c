import { Buffer } from 'node:buffer';
import type { Vault } from '../credentials/vault.ts';
import { emptyRoot } from '../ledger/merkle.ts';

/** What the vault holds of the ledger: the largest tree that is known to have been signed. */
export interface Mark {
  readonly size: number;
  readonly root: Buffer;
  /** How often an operator has accepted a database that was behind. */
  readonly accepted: number;
  /** By the key of a witness, the size of the tree that it has seen and the database does not have. */
  readonly claims: Sizes;
  /** What was lost with an operator's word: who still knows it says nothing new. A witness that lied is passed over alone. */
  readonly lost: Sizes;
}

export type Sizes = Readonly<Record<string, number>>;
export type Tree = Pick<Mark, 'size' | 'root'>;
export const unmarked: Mark = { size: 0, root: emptyRoot, accepted: 0, claims: {}, lost: {} };

/** A mark, and the version of the secret that holds it. */
export interface HeldMark {
  readonly mark: Mark;
  readonly version: string;
}

const secretName = 'ledger-high-water';

/**
 * What changes seldom is the secret's value. The tree, which changes all the time, is in the version's tags: to set them
 * makes no version, of which a Key Vault would keep each one for ever. None of it is secret.
 */
export async function readMark(vault: Vault): Promise<HeldMark | null> {
  for (;;) {
    const newest = (await vault.versions(secretName)).findLast(({ enabled }) => enabled);
    if (!newest) return null;
    const text = await vault.getVersion(secretName, newest.version);
    // Replaced between the two: then there is a newer one.
    if (text === null) continue;
    const mark = parseMark(text);
    const { size, root } = newest.tags;
    const tagged = size === undefined || root === undefined ? null : treeOf(Number(size), root);
    return { mark: tagged && tagged.size > mark.size ? { ...mark, ...tagged } : mark, version: newest.version };
  }
}

/** Makes the first mark. @returns what is held then: another broker may have been first. */
export async function createMark(vault: Vault, mark: Mark): Promise<HeldMark> {
  await vault.create(secretName, formatMark(mark));
  const held = await readMark(vault);
  if (!held) throw new Error(`the secret \`${secretName}\` is gone just after it was made`);
  return held;
}

/** Puts a mark in place of the one that is held. */
export async function replaceMark(vault: Vault, mark: Mark): Promise<void> {
  await vault.replace(secretName, formatMark(mark));
}

/**
 * Moves the held mark on to a larger tree, unless another broker has moved it further.
 * @returns false when it is not the mark that is held any more: nothing was written.
 */
export async function raiseMark(vault: Vault, { version }: HeldMark, { size, root }: Tree): Promise<boolean> {
  const newest = (await vault.versions(secretName)).findLast(({ enabled }) => enabled);
  if (newest?.version !== version) return false;
  if (Number(newest.tags.size ?? 0) >= size) return true;
  await vault.setTags(secretName, version, { size: String(size), root: root.toString('base64') });
  return true;
}

function formatMark({ root, ...rest }: Mark): string {
  return JSON.stringify({ ...rest, root: root.toString('base64') });
}

function parseMark(text: string): Mark {
  const { size, root, accepted = 0, claims = {}, lost = {} } = JSON.parse(text) as Readonly<Record<string, unknown>>;
  if (!Number.isSafeInteger(accepted) || ![claims, lost].every(areSizes)) throw notMark();
  return { ...treeOf(size, root), accepted: accepted as number, claims: claims as Sizes, lost: lost as Sizes };
}

function treeOf(size: unknown, root: unknown): Tree {
  const bytes = typeof root === 'string' ? Buffer.from(root, 'base64') : null;
  if (!Number.isSafeInteger(size) || bytes?.length !== emptyRoot.length) throw notMark();
  return { size: size as number, root: bytes };
}

function areSizes(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every(Number.isSafeInteger);
}

function notMark(): Error {
  return new Error(`the secret \`${secretName}\` is not a mark`);
}
