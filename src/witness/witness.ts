import { parseAddCheckpoint, sizeContentType, type AddCheckpoint } from '../ledger/add-checkpoint.ts';
import { parseCheckpoint, type Checkpoint } from '../ledger/checkpoint.ts';
import { emptyRoot, sameHash } from '../ledger/merkle.ts';
import { verifyConsistency } from '../ledger/merkle-verify.ts';
import { formatNote, formatSignature, parseNote } from '../ledger/note.ts';
import { cosignNote, openNote } from '../ledger/note-signatures.ts';
import { Malformed } from '../ledger/verdict.ts';
import type { VerifierKey } from '../ledger/vkey.ts';
import type { Seen, WitnessState } from './state.ts';

/** What a witness answers a call with. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

export interface WitnessLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Witness {
  /**
   * Cosigns a checkpoint that is a later state of the one cosigned last (C2SP tlog-witness). Calls for one origin are
   * taken one after another; the new checkpoint is kept before the cosignature is given away.
   * If we stop in between, the checkpoint counts as cosigned, and the ledger gets the cosignature by asking again.
   * @throws when the checkpoint cannot be kept; then nothing was cosigned.
   */
  addCheckpoint(body: Uint8Array): Promise<Answer>;
  /** The last checkpoint cosigned for an origin; null when there is none. */
  last(origin: string): string | null;
}

export function createWitness(options: {
  readonly name: string;
  readonly logs: ReadonlyMap<string, readonly VerifierKey[]>;
  readonly state: WitnessState;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: WitnessLog;
}): Witness {
  const { name, logs, state, now, log } = options;
  const queues = new Map<string, Promise<unknown>>();

  /** INVARIANT: comparing with what was cosigned last, and replacing it, is never interleaved for one origin. */
  const inTurn = <T>(origin: string, work: () => Promise<T>): Promise<T> => {
    const turn = (queues.get(origin) ?? Promise.resolve()).then(work);
    queues.set(
      origin,
      turn.catch(() => {}),
    );
    return turn;
  };

  const cosign = async (call: AddCheckpoint, signed: Signed): Promise<Answer> => {
    const { checkpoint, text } = signed;
    const { origin, size, root } = checkpoint;
    const last = state.seen.get(origin) ?? nothingSeen;
    if (call.old !== last.size) return sizeAnswer(last);
    if (size === last.size && !sameHash(Buffer.from(root), Buffer.from(last.root))) {
      log.error({ origin, size, seen: last.note, offered: call.checkpoint }, 'the ledger has signed two histories');
      await state.keepEvidence(origin, [last.note, call.checkpoint]);
      return sizeAnswer(last);
    }
    const mistake = proofMistake(call, last, checkpoint);
    if (mistake !== null) {
      log.warn({ origin, from: last.size, to: size, reason: mistake }, 'a checkpoint was refused');
      return { status: 422, body: `${mistake}\n` };
    }
    const line = cosignNote(text, name, state.privateKey, Math.floor(now() / 1_000));
    await state.keep(origin, { size, root, note: formatNote(text, [...signed.lines, line]) });
    return { status: 200, body: line };
  };

  return {
    async addCheckpoint(body) {
      const call = attempt(() => parseAddCheckpoint(new TextDecoder('utf-8', { fatal: true }).decode(body)));
      const origin = call && attempt(() => parseCheckpoint(parseNote(call.checkpoint).text).origin);
      if (!call || origin === null) return { status: 400, body: 'the body is not that of `add-checkpoint`\n' };
      const keys = logs.get(origin);
      if (!keys) return { status: 404, body: 'this witness does not look after that origin\n' };
      const signed = attempt(() => openSigned(call.checkpoint, keys));
      if (!signed) return { status: 403, body: 'the checkpoint is not signed by a key that is known\n' };
      if (call.old > signed.checkpoint.size) return { status: 400, body: 'the old size is larger than the new one\n' };
      return inTurn(origin, () => cosign(call, signed));
    },
    last: (origin) => state.seen.get(origin)?.note ?? null,
  };
}

/** A checkpoint whose ledger's signature is verified, with the lines that were: what others signed is left behind. */
interface Signed {
  readonly checkpoint: Checkpoint;
  readonly text: string;
  readonly lines: readonly string[];
}

const nothingSeen: Seen = { size: 0, root: emptyRoot, note: '' };

function openSigned(note: string, keys: readonly VerifierKey[]): Signed {
  const { text, signatures } = openNote(note, keys);
  const known = signatures.filter(({ name, id }) => keys.some((key) => key.name === name && key.id === id));
  return { checkpoint: parseCheckpoint(text), text, lines: known.map(formatSignature) };
}

function proofMistake({ old, proof }: AddCheckpoint, last: Seen, next: Checkpoint): string | null {
  if (old === 0) return proof.length === 0 ? null : 'nothing is proved from an empty tree';
  const verdict = verifyConsistency({ from: last, to: next, proof });
  return verdict.ok ? null : verdict.reason;
}

function sizeAnswer({ size }: Seen): Answer {
  return { status: 409, body: `${size}\n`, contentType: sizeContentType };
}

/** Null for what is not of its format. */
function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    // A decoder's complaint about bytes that are not UTF-8 is a TypeError.
    if (error instanceof Malformed || error instanceof TypeError) return null;
    throw error;
  }
}
