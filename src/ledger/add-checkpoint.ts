import { decodeBase64 } from './base64.ts';
import { parseDecimal } from './decimal.ts';
import { hashLength } from './merkle.ts';
import { Malformed } from './verdict.ts';

/** What a ledger asks of a witness (C2SP tlog-witness, `add-checkpoint`). */
export interface AddCheckpoint {
  /** The size that the witness is thought to have cosigned last; zero when it has cosigned none, or nobody knows. */
  readonly old: number;
  /** That the tree of `old` is the beginning of the checkpoint's; empty when `old` is zero. */
  readonly proof: readonly Uint8Array[];
  /** The signed note, verbatim. */
  readonly checkpoint: string;
}

/** What a witness answers a call for another size with, besides that size. */
export const sizeContentType = 'text/x.tlog.size';

const mostHashes = 63;

/** The body of the call. */
export function formatAddCheckpoint({ old, proof, checkpoint }: AddCheckpoint): string {
  const hashes = proof.map((hash) => `${Buffer.from(hash).toString('base64')}\n`).join('');
  return `old ${old}\n${hashes}\n${checkpoint}`;
}

/** Takes the body apart; its checkpoint is neither read nor verified. @throws Malformed when it is no such body. */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  const split = body.indexOf('\n\n');
  if (split === -1) throw new Malformed('the call has no empty line before its checkpoint');
  const [first = '', ...lines] = body.slice(0, split).split('\n');
  if (!first.startsWith('old ')) throw new Malformed('the first line of the call is not `old` and a size');
  if (lines.length > mostHashes) throw new Malformed(`the proof has more than ${mostHashes} hashes`);
  return {
    old: parseDecimal(first.slice('old '.length), 'the old size'),
    proof: lines.map(parseHash),
    checkpoint: body.slice(split + 2),
  };
}

/** The size that a witness answered with. @throws Malformed when it is none. */
export function parseSizeAnswer(body: string): number {
  if (!body.endsWith('\n')) throw new Malformed('the size does not end in a newline');
  return parseDecimal(body.slice(0, -1), 'the size');
}

function parseHash(line: string): Buffer {
  const hash = decodeBase64(line, 'a hash of the proof');
  if (hash.length !== hashLength) throw new Malformed('a hash of the proof is not 32 bytes long');
  return hash;
}
