import { Type } from 'typebox';
import { tenantsInList } from '../../broker/see.ts';
import { LatchkeyError } from '../../domain/errors.ts';
import { hashLength } from '../../ledger/merkle.ts';
import { formatEntryBundle, parseTilePath, tileWidth, widthOf, type Tile } from '../../ledger/tiles.ts';
import { listEntries } from '../../store/ledger-listing.ts';
import { findTile, readEntries } from '../../store/ledger.ts';
import type { HttpContext } from '../context.ts';
import { route, type Answer, type Route } from '../route.ts';
import * as schemas from '../schemas.ts';
import { readTime } from './read.ts';

const closed = { additionalProperties: false };
const Position = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const octets = 'application/octet-stream';
const tilePathParams = Type.Object({ path: Type.String({ maxLength: 60 }) });
/** What a tile of a given width holds never changes. */
const forever = 'max-age=31536000, immutable';
/** Whoever verifies reads all of them, one after another. */
const tileWeight = 0.25;
const hashes = Type.Object({ hashes: Type.Array(Type.String({ description: 'base64' })) });
const hashesExample = { hashes: ['PxCZs0lG4L9VtfjNk5NTh7sRw1Tr0DiNmiM0r/IYAws='] };
const eventExample = {
  index: 41,
  event: {
    v: 1,
    id: 'evt_01kc5r0000e3p9y5n6q7r8s9tk',
    type: 'grant.released',
    at: '2026-03-01T09:40:00.000Z',
    region: 'EU',
    tenant: 'ten_01kc5r0000e3p9y5n6q7r8s9td',
    actor: { kind: 'person', id: 'per_01kc5r0000e3p9y5n6q7r8s9ta' },
    grant: 'grt_01kc5r0000e3p9y5n6q7r8s9te',
  },
};

export function ledgerRoutes(context: HttpContext): Route[] {
  const { broker } = context;
  const nothingHere = (): LatchkeyError => new LatchkeyError('not-found', 'the ledger has nothing there');

  /** The tile that a path names, if the tree has it in that width. */
  const requireTile = async (path: string): Promise<Tile> => {
    const tile = parseTilePath(path);
    const level = tile?.level === 'entries' ? 0 : tile?.level;
    if (!tile || level === undefined) throw nothingHere();
    const { size } = await broker.ledger.state();
    if (widthOf(level, tile.index, size) < tile.width) throw nothingHere();
    return tile;
  };
  const proof = async (from: number, to: number, make: () => Promise<Uint8Array[]>): Promise<Answer> => {
    const { size } = await broker.ledger.state();
    if (from > to || to > size) {
      throw new LatchkeyError('invalid-request', `the ledger has \`${size}\` entries, and no such proof`);
    }
    const found = await make();
    return { status: 200, body: { hashes: found.map((hash) => Buffer.from(hash).toString('base64')) } };
  };

  return [
    route({
      method: 'get',
      path: '/ledger/checkpoint',
      id: 'getCheckpoint',
      tag: 'Ledger',
      summary: 'What the ledger says of itself now',
      audience: 'anyone',
      rule: 'public',
      answers: {
        200: {
          description: 'a signed note (C2SP tlog-checkpoint), with the cosignatures of witnesses that have answered',
          contentType: 'text/plain',
          schema: Type.String(),
          example: 'latchkey.example/eu\n42\nCc46Nx072hI+DQtkVvccJ30T/J+8CfQ/5N6rJUi1ECA=\n\n— latchkey.example/eu …\n',
        },
      },
      problems: ['not-found'],
      async handle() {
        const checkpoint = await broker.ledger.checkpoint();
        if (!checkpoint) throw nothingHere();
        const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'public, max-age=1' };
        return { status: 200, body: checkpoint, headers };
      },
    }),

    route({
      method: 'get',
      path: '/ledger/tile/entries/{path}',
      deep: true,
      weight: tileWeight,
      id: 'getEntryTile',
      tag: 'Ledger',
      summary: 'A bundle of entries (C2SP tlog-tiles)',
      audience: 'person',
      rule: 'whoever policy lets see the whole ledger',
      params: tilePathParams,
      answers: {
        200: { description: 'entries, each after its length', contentType: octets, schema: Type.String(), example: '' },
      },
      problems: ['not-permitted', 'not-found'],
      async handle({ caller, params }) {
        if (tenantsInList(broker, caller, 'ledger') !== null) {
          throw new LatchkeyError(
            'not-permitted',
            'you may see your own tenant’s entries only, with `/v1/ledger/entries`',
          );
        }
        const { index, width } = await requireTile(`tile/entries/${params.path}`);
        const entries = await readEntries(broker.pool, index * tileWidth, width);
        const body = formatEntryBundle(entries.map((entry) => entry.bytes));
        return { status: 200, body, headers: { 'Content-Type': octets, 'Cache-Control': `private, ${forever}` } };
      },
    }),

    route({
      method: 'get',
      path: '/ledger/tile/{path}',
      deep: true,
      weight: tileWeight,
      id: 'getHashTile',
      tag: 'Ledger',
      summary: 'A tile of hashes (C2SP tlog-tiles)',
      audience: 'anyone',
      rule: 'public',
      params: tilePathParams,
      answers: { 200: { description: 'up to 256 hashes', contentType: octets, schema: Type.String(), example: '' } },
      problems: ['not-found'],
      async handle({ params }) {
        const { level, index, width } = await requireTile(`tile/${params.path}`);
        const tile = await findTile(broker.pool, level as number, index);
        if (!tile) throw nothingHere();
        const body = tile.subarray(0, width * hashLength);
        return { status: 200, body, headers: { 'Content-Type': octets, 'Cache-Control': `public, ${forever}` } };
      },
    }),

    route({
      method: 'get',
      path: '/v1/ledger/entries',
      id: 'listEntries',
      tag: 'Ledger',
      summary: 'Entries of the ledger, oldest first',
      audience: 'person',
      rule: 'auditors all of them; a tenant’s approvers those of their tenant',
      query: Type.Object(
        {
          from: Type.Optional(Position),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100 })),
          subject: Type.Optional(
            Type.String({
              pattern: '^[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}$',
              description: 'a person, device, grant, request, session or tenant',
            }),
          ),
          type: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z-]+\\.[a-z-]+$' }), { maxItems: 20 })),
          tenant: Type.Optional(schemas.TenantRef),
          after: Type.Optional(schemas.Time),
          before: Type.Optional(schemas.Time),
        },
        closed,
      ),
      answers: {
        200: {
          description: '`next` is where to go on from; null at the end of the ledger',
          schema: Type.Object({
            entries: Type.Array(Type.Object({ index: Position, event: Type.Record(Type.String(), Type.Unknown()) })),
            size: Position,
            next: schemas.nullable(Position),
          }),
          example: { entries: [eventExample], size: 42, next: null },
        },
      },
      problems: ['invalid-request', 'not-permitted'],
      async handle({ caller, query }) {
        const slugs = tenantsInList(broker, caller, 'ledger');
        const { size } = await broker.ledger.state();
        const { entries, next } = await listEntries(
          broker.pool,
          {
            slugs,
            subject: query.subject ?? null,
            types: query.type ?? null,
            tenant: query.tenant ?? null,
            after: query.after === undefined ? null : readTime(query.after, '/after'),
            before: query.before === undefined ? null : readTime(query.before, '/before'),
          },
          { from: query.from ?? 0, limit: query.limit ?? 100, size },
        );
        const shown = entries.map(({ position, bytes }) => ({
          index: position,
          event: JSON.parse(bytes.toString('utf8')) as object,
        }));
        return { status: 200, body: { entries: shown, size, next }, headers: { 'Cache-Control': 'no-store' } };
      },
    }),

    route({
      method: 'get',
      path: '/v1/ledger/proof',
      id: 'getInclusionProof',
      tag: 'Ledger',
      summary: 'That an entry is in the tree of a size',
      audience: 'anyone',
      rule: 'public: a proof holds hashes only',
      query: schemas.queryOf({ index: Position, size: Position }),
      answers: { 200: { description: 'hashes from the leaf up', schema: hashes, example: hashesExample } },
      problems: ['invalid-request'],
      handle: ({ query: { index, size } }) => proof(index + 1, size, () => broker.ledger.inclusion(index, size)),
    }),

    route({
      method: 'get',
      path: '/v1/ledger/consistency',
      id: 'getConsistencyProof',
      tag: 'Ledger',
      summary: 'That one tree is the beginning of another',
      audience: 'anyone',
      rule: 'public: a proof holds hashes only',
      query: schemas.queryOf({ from: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }), to: Position }),
      answers: { 200: { description: 'hashes', schema: hashes, example: hashesExample } },
      problems: ['invalid-request'],
      handle: ({ query: { from, to } }) => proof(from, to, () => broker.ledger.consistency(from, to)),
    }),
  ];
}
