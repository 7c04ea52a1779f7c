import { decodeBase64 } from './base64.ts';
import { parseDecimal } from './decimal.ts';
import { hashLength } from './merkle.ts';
import { Malformed } from './verdict.ts';

/** A proof that can be carried about: an index, the way from it to a root, and the checkpoint with that root. */
export interface ProofText {
  /** Bytes for whoever verifies, in nothing to be trusted by themselves; null when there is no such line. */
  readonly extra: Uint8Array | null;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
}

const firstLine = 'c2sp.org/tlog-proof@v1';
/** No tree that can be counted here is higher. */
const mostHashes = 53;

/** The proof as text (C2SP tlog-proof). */
export function formatProofText({ extra, index, hashes, checkpoint }: ProofText): string {
  const lines = [
    firstLine,
    ...(extra ? [`extra ${Buffer.from(extra).toString('base64')}`] : []),
    `index ${index}`,
    ...hashes.map((hash) => Buffer.from(hash).toString('base64')),
  ];
  return `${lines.join('\n')}\n\n${checkpoint}`;
}

/** Takes a proof apart; its checkpoint is neither read nor verified. @throws Malformed when the text is no proof. */
export function parseProofText(text: string): ProofText {
  const split = text.indexOf('\n\n');
  if (split === -1) throw new Malformed('the proof has no empty line before its checkpoint');
  const lines = text.slice(0, split).split('\n');
  if (lines.shift() !== firstLine) throw new Malformed(`the first line of a proof is \`${firstLine}\``);
  const extra = lines[0]?.startsWith('extra ')
    ? decodeBase64(lines.shift()!.slice('extra '.length), 'what stands after `extra`')
    : null;
  const index = lines.shift();
  if (!index?.startsWith('index ')) throw new Malformed('the proof does not say its index');
  if (lines.length > mostHashes) throw new Malformed(`the proof has more than ${mostHashes} hashes`);
  return {
    extra,
    index: parseDecimal(index.slice('index '.length), 'the index'),
    hashes: lines.map(parseHash),
    checkpoint: text.slice(split + 2),
  };
}

function parseHash(line: string): Buffer {
  const hash = decodeBase64(line, 'a hash of the proof');
  if (hash.length !== hashLength) throw new Malformed('a hash of the proof is not 32 bytes long');
  return hash;
}
