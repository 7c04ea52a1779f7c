import type { LedgerSource } from '../../ledger/audit-source.ts';
import { parseCheckpoint, type Checkpoint } from '../../ledger/checkpoint.ts';
import { leafHash } from '../../ledger/merkle.ts';
import { inclusionProof } from '../../ledger/merkle-proof.ts';
import { verifyInclusion } from '../../ledger/merkle-verify.ts';
import { parseNote } from '../../ledger/note.ts';
import { formatProofText } from '../../ledger/proof-text.ts';
import { nodesOfTiles } from '../../ledger/tile-reader.ts';
import { exitCodes, Failure } from '../failure.ts';
import type { Io } from '../io.ts';
import { jsonText, neutralise } from '../text/neutralise.ts';
import { formatEntryLine } from './export-source.ts';

/** Prints an entry: indented for people, on one line with its index for programs. */
export async function showEntry(source: LedgerSource, index: number, json: boolean, io: Io): Promise<number> {
  const bytes = await findEntry(source, index);
  const entry = JSON.parse(formatEntryLine(index, bytes)) as { readonly event?: unknown };
  const lines = JSON.stringify(entry.event ?? entry, null, 2).split('\n');
  io.stdout.write(json ? `${jsonText(entry)}\n` : lines.map((line) => `${neutralise(line)}\n`).join(''));
  return exitCodes.done;
}

/** Prints the proof that an entry is in the tree of the newest checkpoint, with its bytes as `extra`. */
export async function proveEntry(source: LedgerSource, index: number, io: Io): Promise<number> {
  const bytes = await findEntry(source, index);
  const signed = source.checkpoint!;
  const { size, root } = readHead(signed);
  const hashes = await inclusionProof(
    index,
    size,
    nodesOfTiles(size, async ({ level, index: tile, width }) => {
      const served = await source.tile?.(level, tile, width);
      if (!served) throw new Failure('failed', `the tile ${level}/${tile} is gone`);
      return served;
    }),
  );
  const verdict = verifyInclusion({ index, size, leafHash: leafHash(bytes), proof: hashes, root });
  if (!verdict.ok) {
    throw new Failure('failed', `entry ${index} cannot be proved: ${verdict.reason}`, {
      hint: 'see where it goes wrong with `latchkey ledger verify`',
    });
  }
  io.stdout.write(formatProofText({ extra: bytes, index, hashes, checkpoint: signed }));
  return exitCodes.done;
}

async function findEntry(source: LedgerSource, index: number): Promise<Uint8Array> {
  const size = source.checkpoint === null ? 0 : readHead(source.checkpoint).size;
  if (index >= size) throw new Failure('failed', `the ledger has ${size} entries, and none at ${index}`);
  for await (const [bytes] of source.entries(index, index + 1)) if (bytes) return bytes;
  throw new Failure('failed', `entry ${index} is gone`);
}

function readHead(signed: string): Checkpoint {
  return parseCheckpoint(parseNote(signed).text);
}
