import type { DeviceId, PersonId } from '../domain/ids.ts';
import { leafBytes } from '../ledger/canonical.ts';
import type { Commitment, LedgerEvent } from '../ledger/events.ts';
import { post, row, type Runner, type Tx } from './transaction.ts';

/** A text that the ledger holds only a commitment to; erased with whoever wrote it, and with whom or what it is about. */
export interface Disclosure {
  readonly commitment: Commitment;
  readonly salt: Uint8Array;
  readonly value: string;
  readonly person: PersonId;
  /** Null when it is about whoever wrote it. */
  readonly about: PersonId | null;
  readonly device: DeviceId | null;
}

/** Appends events and the texts they commit to, in the transaction of what they tell. */
export function appendEvents(tx: Tx, events: readonly LedgerEvent[], disclosures: readonly Disclosure[]): void {
  const leaves = inOnePiece(events.map(leafBytes));
  const texts = inOnePiece(disclosures.map(({ value }) => Buffer.from(value)));
  post(
    tx,
    'append-events',
    `WITH disclosed AS (
       INSERT INTO disclosures (commitment, salt, value, person, about, device)
       SELECT commitment, salt, convert_from(substring($10::bytea FROM begin FOR length), 'UTF8'), person, about, device
       FROM unnest($8::bytea[], $9::bytea[], $11::integer[], $12::integer[], $13::text[], $14::text[], $15::text[])
         AS of (commitment, salt, begin, length, person, about, device)
     )
     INSERT INTO audit_events (id, at, type, tenant, bytes)
     SELECT id, at, type, tenant, substring($7::bytea FROM begin FOR length)
     FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::integer[], $6::integer[])
       AS of (id, at, type, tenant, begin, length)`,
    [
      events.map((event) => event.id),
      events.map((event) => event.at),
      events.map((event) => event.type),
      events.map((event) => event.tenant),
      leaves.begins,
      leaves.lengths,
      leaves.bytes,
      disclosures.map((each) => Buffer.from(each.commitment, 'base64url')),
      disclosures.map((each) => Buffer.from(each.salt)),
      texts.bytes,
      texts.begins,
      texts.lengths,
      disclosures.map((each) => each.person),
      disclosures.map((each) => each.about),
      disclosures.map((each) => each.device),
    ],
  );
}

/** Pieces as one parameter, which travels as it is: an array of them would be spelt out and read letter by letter. */
function inOnePiece(pieces: readonly Buffer[]): { bytes: Buffer; begins: number[]; lengths: number[] } {
  const lengths = pieces.map(({ length }) => length);
  let end = 1;
  return { bytes: Buffer.concat(pieces), begins: lengths.map((length) => (end += length) - length), lengths };
}

/** Makes the partitions that the coming months need, with the rights of the schema's owner. @returns how many. */
export async function ensureAuditPartitions(runner: Runner): Promise<number> {
  const found = await row<{ made: number }>(
    runner,
    'ensure-audit-partitions',
    'SELECT ensure_audit_partitions() AS made',
  );
  return found!.made;
}
