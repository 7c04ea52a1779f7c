import { LatchkeyError } from '../domain/errors.ts';
import type { TSchema } from 'typebox';
import { isId, type Id, type IdKind } from '../domain/ids.ts';
import type { Page } from '../store/listing.ts';
import type { Documented } from './route.ts';
import { listOf } from './schemas.ts';

/** Reads a list's paging parameters. A cursor is the id of the last thing of the page before. */
export function pageOf<K extends IdKind>(
  kind: K,
  query: { readonly cursor?: string | undefined; readonly limit?: number | undefined },
): Page<Id<K>> {
  const { cursor, limit = 50 } = query;
  if (cursor !== undefined && !isId(kind, cursor)) {
    throw new LatchkeyError('invalid-request', '`cursor` is not one that this list gave');
  }
  return { before: cursor ?? null, limit };
}

/** A page as it is answered: reads one more than was asked for, to know whether another page follows. */
export async function listed<T, K extends IdKind>(
  wanted: Page<Id<K>>,
  read: (page: Page<Id<K>>) => Promise<T[]>,
  idOf: (item: T) => string,
  show: (items: T[]) => Promise<object[]> | object[],
): Promise<{ status: 200; body: { items: object[]; next: string | null } }> {
  const found = await read({ ...wanted, limit: wanted.limit + 1 });
  const items = found.slice(0, wanted.limit);
  const last = items.at(-1);
  const next = found.length > wanted.limit && last ? idOf(last) : null;
  return { status: 200, body: { items: await show(items), next } };
}

/** Who may read most lists, in the words of the OpenAPI document. */
export const whatOneMaySee = 'filtered to what policy lets the caller see; 403 where they have no part';

/** What a list answers, for the OpenAPI document. */
export function pageAnswer(items: TSchema, example: object): { readonly 200: Documented } {
  return {
    200: { description: 'a page, newest first', schema: listOf(items), example: { items: [example], next: null } },
  };
}
