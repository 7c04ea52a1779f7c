import { open } from 'node:fs/promises';
import type { LedgerSource } from '../../ledger/audit-source.ts';
import { parseCheckpoint } from '../../ledger/checkpoint.ts';
import { parseNote } from '../../ledger/note.ts';
import { exitCodes, Failure } from '../failure.ts';
import type { Io, Output } from '../io.ts';
import { interrupted } from '../transport.ts';
import { formatEntryLine, type Manifest } from './export-source.ts';
import { openProgress } from './progress.ts';

/**
 * Writes a ledger as JSON Lines: a manifest, then its entries in order, to standard output or into a file that is not
 * there yet. What is written is not judged: `verify --export` does that, on any machine.
 */
export async function exportLedger(source: LedgerSource, path: string | undefined, io: Io): Promise<number> {
  if (source.checkpoint === null) throw new Failure('failed', 'the ledger has no checkpoint yet');
  const { checkpoint } = source;
  const { origin, size, root } = parseCheckpoint(parseNote(checkpoint).text);
  const keys = await source.keys?.();
  const changed = keys && (keys.recovery !== null || keys.rotations.length > 0) && { keys };
  const manifest: Manifest = { origin, size, root: Buffer.from(root).toString('base64'), checkpoint, ...changed };
  const file =
    path === undefined
      ? null
      : await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
          throw new Failure('usage', `\`${path}\` cannot be written (${cause.code ?? cause.message})`, { cause });
        });
  const write = file ? async (text: string) => void (await file.write(text)) : (text: string) => say(io.stdout, text);
  const progress = openProgress(io.stderr, io.now);
  let index = 0;
  try {
    await write(`${JSON.stringify(manifest)}\n`);
    for await (const entries of source.entries(0, size)) {
      const lines = entries.map((bytes) => {
        if (bytes === null) throw new Failure('failed', `entry ${index} is gone: an export would not be whole`);
        return `${formatEntryLine(index++, bytes)}\n`;
      });
      await write(lines.join(''));
      if (io.signal.aborted) throw interrupted();
      progress.show(index, size);
    }
    if (index < size) throw new Failure('failed', `entry ${index} is gone: an export would not be whole`);
    await file?.sync();
  } finally {
    progress.end();
    await file?.close();
  }
  return exitCodes.done;
}

/** Writes, and waits while whoever reads is slower. */
async function say(output: Output, text: string): Promise<void> {
  const room = output.write(text);
  if (room === false && output.once) await new Promise<void>((resolve) => output.once!('drain', resolve));
}
