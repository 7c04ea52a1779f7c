import type { Io, Output } from './io.ts';
import { neutraliseLines } from './text/neutralise.ts';

/** Hands on what an action writes on the device. */
export type OutputWriter = (piece: { readonly stream: 'stdout' | 'stderr'; readonly data: string }) => Promise<void>;

/**
 * Writes an action's output where it belongs: byte for byte into files and pipes; on a terminal without anything that
 * could repaint it, since what a device says is not to be trusted with that, unless `raw` asks for it.
 */
export function actionOutput(io: Io, raw: boolean): OutputWriter {
  const writers = { stdout: writerFor(io.stdout, raw), stderr: writerFor(io.stderr, raw) };
  return async ({ stream, data }) => {
    await (stream === 'stderr' ? writers.stderr : writers.stdout)(Buffer.from(data, 'base64'));
  };
}

function writerFor(output: Output, raw: boolean): (bytes: Uint8Array) => Promise<void> {
  const decoder = new TextDecoder();
  const plain = raw || output.isTTY !== true;
  return async (bytes) => {
    const full = output.write(plain ? bytes : neutraliseLines(decoder.decode(bytes, { stream: true }))) === false;
    if (full && output.once) await new Promise<void>((resolve) => output.once!('drain', resolve));
  };
}
