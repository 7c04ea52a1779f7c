import type { KeyObject } from 'node:crypto';
import { decodeBase64 } from './base64.ts';
import { parseDecimal } from './decimal.ts';
import { hashLength } from './merkle.ts';
import { formatNote } from './note.ts';
import { openNote, signNote, type OpenedNote } from './note-signatures.ts';
import { Malformed } from './verdict.ts';
import type { VerifierKey } from './vkey.ts';

/** What a ledger says of itself at one moment (C2SP tlog-checkpoint). */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  /** Lines after the root; this ledger writes none. */
  readonly extensions?: readonly string[];
}

/** The text of a checkpoint, which is what gets signed. */
export function formatCheckpoint({ origin, size, root, extensions = [] }: Checkpoint): string {
  return [origin, size, Buffer.from(root).toString('base64'), ...extensions].map((line) => `${line}\n`).join('');
}

/** Reads the text of a checkpoint. @throws Malformed when it is none. */
export function parseCheckpoint(text: string): Checkpoint & { readonly extensions: readonly string[] } {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length < 3 || lines.includes('')) {
    throw new Malformed('a checkpoint is at least three lines, none of them empty');
  }
  const [origin, size, encoded, ...extensions] = lines;
  const root = decodeBase64(encoded!, 'the root of the checkpoint');
  if (root.length !== hashLength) throw new Malformed('the root of the checkpoint is not 32 bytes long');
  return { origin: origin!, size: parseDecimal(size!, 'the size of the checkpoint'), root, extensions };
}

/** Who is asked to vouch for a checkpoint besides the ledger itself. */
export interface Witnesses {
  readonly keys: readonly VerifierKey[];
  /** How many of them have to have cosigned. */
  readonly needed: number;
}

/** Whose checkpoints are believed. */
export interface CheckpointTrust {
  readonly origin: string;
  /** The ledger's key; while keys change, the old one too. */
  readonly ledgerKeys: readonly VerifierKey[];
  readonly witnesses?: Witnesses | undefined;
}

export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly note: OpenedNote;
}

/**
 * Opens a signed checkpoint: signed by the ledger's key, of the pinned origin, cosigned by as many different witnesses
 * as are needed.
 * @throws Malformed with what does not hold.
 */
export function openCheckpoint(signed: string | Uint8Array, trust: CheckpointTrust): OpenedCheckpoint {
  const { origin, ledgerKeys, witnesses = { keys: [], needed: 0 } } = trust;
  const note = openNote(signed, [...ledgerKeys, ...witnesses.keys]);
  if (!note.verified.some(({ key }) => ledgerKeys.includes(key))) {
    throw new Malformed('the checkpoint is not signed by the ledger');
  }
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== origin) throw new Malformed('the checkpoint is of another origin');
  const cosigned = countWitnesses(note, witnesses.keys);
  if (cosigned < witnesses.needed) {
    throw new Malformed(`the checkpoint is cosigned by ${cosigned} witnesses, ${witnesses.needed} are needed`);
  }
  return { checkpoint, note };
}

/** Counts keys, not names: what a witness signs does not say its name, so one key could sign under many. */
function countWitnesses(note: OpenedNote, witnesses: readonly VerifierKey[]): number {
  const cosigned = note.verified.filter(({ key }) => key.kind === 'cosignature' && witnesses.includes(key));
  return new Set(cosigned.map(({ key }) => key.bytes.toString('hex'))).size;
}

/** Signs a checkpoint with the ledger's Ed25519 key, whose name is the origin; while keys change, with both. */
export function signCheckpoint(checkpoint: Checkpoint, ...privateKeys: readonly KeyObject[]): string {
  const text = formatCheckpoint(checkpoint);
  return formatNote(
    text,
    privateKeys.map((privateKey) => signNote(text, checkpoint.origin, privateKey)),
  );
}
