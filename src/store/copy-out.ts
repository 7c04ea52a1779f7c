import type { ClientBase, Connection, Submittable } from 'pg';

const firstRoom = 1_048_576;

/** The rows of an answer, as they came. The memory of one is used again for the next that is put there. */
export class CopiedRows {
  #bytes = Buffer.allocUnsafe(firstRoom);
  #length = 0;

  clear(): void {
    this.#length = 0;
  }

  add(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(2 * length);
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    chunk.copy(this.#bytes, this.#length);
    this.#length = length;
  }

  /** Each a list of its columns' bytes as PostgreSQL sends them, in place; null where there is nothing. */
  list(): (Buffer | null)[][] {
    return rowsOf(this.#bytes.subarray(0, this.#length));
  }
}

/**
 * Has a query's rows by way of `COPY … TO STDOUT (FORMAT binary)`: bulk data comes without the detour over hexadecimal
 * text that ordinary answers take. The statement is sent as it is: it may hold no value that was not made here.
 * @param rows where they are put, in place of what is there.
 */
export function copyOut(client: ClientBase, select: string, rows: CopiedRows): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  rows.clear();
  client.query(new CopyOut(`COPY (${select}) TO STDOUT (FORMAT binary)`, rows, resolve, reject));
  return promise;
}

/** A query as the driver runs it: it calls these methods as the server's messages come. */
class CopyOut implements Submittable {
  readonly #text: string;
  readonly #rows: CopiedRows;
  readonly #done: () => void;
  readonly #failed: (error: Error) => void;

  constructor(text: string, rows: CopiedRows, done: () => void, failed: (error: Error) => void) {
    this.#text = text;
    this.#rows = rows;
    this.#done = done;
    this.#failed = failed;
  }

  submit(connection: Connection): void {
    connection.query(this.#text);
  }

  /** The driver uses the chunk's memory again for what comes next, so it is copied. */
  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    this.#rows.add(chunk);
  }

  /** Also when the connection is lost; of a query that failed, the driver says no more. */
  handleError(error: Error): void {
    this.#failed(error);
  }

  handleReadyForQuery(): void {
    this.#done();
  }

  handleCommandComplete(): void {}
}

const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const headerLength = signature.length + 8;

/** Takes the bytes of a binary copy apart (PostgreSQL, "COPY", Binary Format). */
function rowsOf(bytes: Buffer): (Buffer | null)[][] {
  if (!bytes.subarray(0, signature.length).equals(signature)) throw new Error('the database sent no binary copy');
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
