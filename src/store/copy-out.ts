import type { ClientBase, Connection, Submittable } from 'pg';

/**
 * The rows of a query by way of `COPY … TO STDOUT (FORMAT binary)`: each a list of its columns' bytes as PostgreSQL
 * sends them, null where there is nothing. Bulk data comes without the detour over hexadecimal text that ordinary
 * answers take. The statement is sent as it is: it may hold no value that was not made here.
 */
export async function copyOut(client: ClientBase, select: string): Promise<(Buffer | null)[][]> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  client.query(new CopyOut(`COPY (${select}) TO STDOUT (FORMAT binary)`, resolve, reject));
  return rowsOf(await promise);
}

const firstRoom = 1_048_576;

/** A query as the driver runs it: it calls these methods as the server's messages come. */
class CopyOut implements Submittable {
  readonly #text: string;
  readonly #done: (bytes: Buffer) => void;
  readonly #failed: (error: Error) => void;
  #bytes = Buffer.allocUnsafe(firstRoom);
  #length = 0;

  constructor(text: string, done: (bytes: Buffer) => void, failed: (error: Error) => void) {
    this.#text = text;
    this.#done = done;
    this.#failed = failed;
  }

  submit(connection: Connection): void {
    connection.query(this.#text);
  }

  /** The driver uses the chunk's memory again for what comes next, so it is copied. */
  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(2 * length);
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    chunk.copy(this.#bytes, this.#length);
    this.#length = length;
  }

  /** Also when the connection is lost; of a query that failed, the driver says no more. */
  handleError(error: Error): void {
    this.#failed(error);
  }

  handleReadyForQuery(): void {
    this.#done(this.#bytes.subarray(0, this.#length));
  }

  handleCommandComplete(): void {}
}

const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const headerLength = signature.length + 8;

/** Takes the bytes of a binary copy apart (PostgreSQL, "COPY", Binary Format). */
function rowsOf(bytes: Buffer): (Buffer | null)[][] {
  if (bytes.compare(signature, 0, signature.length, 0, signature.length) !== 0)
    throw new Error('the database sent no binary copy');
  const rows: (Buffer | null)[][] = [];
  let at = headerLength + bytes.readInt32BE(signature.length + 4);
  for (let columns = bytes.readInt16BE(at); columns >= 0; columns = bytes.readInt16BE(at)) {
    at += 2;
    const row: (Buffer | null)[] = [];
    for (let column = 0; column < columns; column++) {
      const length = bytes.readInt32BE(at);
      at += 4;
      row.push(length < 0 ? null : bytes.subarray(at, at + length));
      at += Math.max(0, length);
    }
    rows.push(row);
  }
  return rows;
}
