import type { ClientBase, Connection, Submittable } from 'pg';

/**
 * The rows of a query by way of `COPY … TO STDOUT (FORMAT binary)`. Bulk data comes without the detour over hexadecimal text that ordinary
 * answers take. The statement is sent as it is: it may hold no value that was not made here.
 * @param take is given each row, and reads all of its columns at once.
 */
export async function copyOut(client: ClientBase, select: string, take: (row: CopiedRow) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  client.query(new CopyOut(`COPY (${select}) TO STDOUT (FORMAT binary)`, resolve, reject));
  eachRow(await promise, take);
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
    this.#bytes.set(chunk, this.#length);
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

/** The columns of a row, which are read one after another. */
export class CopiedRow {
  readonly #bytes: Buffer;
  #at: number;

  /** @param at where it begins. */
  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** Goes to the first column of the next row. @returns false when there is none. */
  begin(): boolean {
    const columns = this.#bytes.readInt16BE(this.#at);
    this.#at += 2;
    return columns >= 0;
  }

  /** The next column's bytes as PostgreSQL sends them; null where there is nothing. */
  bytes(): Buffer | null {
    const length = this.#bytes.readInt32BE(this.#at);
    const begin = this.#at + 4;
    this.#at = begin + Math.max(0, length);
    return length < 0 ? null : this.#bytes.subarray(begin, this.#at);
  }

  /** The next column, a `bigint` that is not null and is as small as positions are. */
  integer(): number {
    if (this.#bytes.readInt32BE(this.#at) !== 8) throw new Error('the database sent no bigint');
    const value = this.#bytes.readInt32BE(this.#at + 4) * 2 ** 32 + this.#bytes.readUInt32BE(this.#at + 8);
    this.#at += 12;
    return value;
  }
}

/** Takes the bytes of a binary copy apart (PostgreSQL, "COPY", Binary Format). */
function eachRow(bytes: Buffer, take: (row: CopiedRow) => void): void {
  if (bytes.compare(signature, 0, signature.length, 0, signature.length) !== 0)
    throw new Error('the database sent no binary copy');
  const row = new CopiedRow(bytes, headerLength + bytes.readInt32BE(signature.length + 4));
  while (row.begin()) take(row);
}
