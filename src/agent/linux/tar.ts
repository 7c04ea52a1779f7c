const blockBytes = 512;

export interface TarEntry {
  readonly name: string;
  readonly data: Uint8Array;
}

/** A tar archive (POSIX.1-1988 ustar) of plain files, block by block as the entries come. @param at seconds since the epoch. */
export async function* tar(entries: AsyncIterable<TarEntry>, at: number): AsyncGenerator<Uint8Array> {
  for await (const { name, data } of entries) {
    yield header(name, data.length, at);
    yield data;
    const padding = (blockBytes - (data.length % blockBytes)) % blockBytes;
    if (padding > 0) yield Buffer.alloc(padding);
  }
  yield Buffer.alloc(2 * blockBytes);
}

function header(name: string, size: number, at: number): Buffer {
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, start: number, length: number): void => {
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, start, 'ascii');
  };
  block.write(name, 0, 100, 'utf8');
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(at, 136, 12);
  block.write('        ', 148, 'ascii');
  block.write('0', 156, 'ascii');
  block.write('ustar', 257, 'ascii');
  block.write('00', 263, 'ascii');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'ascii');
  return block;
}
