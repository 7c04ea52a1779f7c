import { Type } from 'typebox';
import { createKeysToFollow } from '../../broker/served-keys.ts';
import { mostServed } from '../../ledger/served-keys.ts';
import type { HttpContext } from '../context.ts';
import { route, type Route } from '../route.ts';
import * as schemas from '../schemas.ts';

const oldKey = 'latchkey.example/eu+1a2b3c4d+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const newKey = 'latchkey.example/eu+5e6f7a8b+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB';

/** How the ledger's keys follow one another, for whoever pinned one of them. */
export function ledgerKeysRoutes(context: HttpContext): Route[] {
  const { pool, keys } = context.broker;
  const toFollow = createKeysToFollow(pool);
  return [
    route({
      method: 'get',
      path: '/v1/ledger/keys',
      id: 'getLedgerKeys',
      tag: 'Keys',
      summary: 'How the ledger’s keys follow one another: believe the proofs, not who serves them',
      audience: 'anyone',
      unlimited: true,
      rule: 'public',
      query: schemas.queryOf({
        after: Type.Optional(
          Type.String({
            maxLength: 400,
            description: 'the id or vkey of the newest key that you follow already: what leads there is left out',
          }),
        ),
      }),
      answers: {
        200: {
          description: `the keys that sign now, and up to ${mostServed} rotations, oldest first: each proof is a C2SP tlog-proof of the \`key.rotated\` event, under a checkpoint signed by \`from\`. A copy may be kept for 60 s`,
          schema: Type.Object({
            keys: Type.Array(Type.String({ description: 'a C2SP vkey' })),
            recovery: schemas.nullable(
              Type.String({ description: 'the newest statement of the recovery key, a signed note' }),
            ),
            rotations: Type.Array(Type.Object({ from: Type.String(), to: Type.String(), proof: Type.String() })),
          }),
          example: {
            keys: [oldKey, newKey],
            recovery: null,
            rotations: [{ from: oldKey, to: newKey, proof: 'c2sp.org/tlog-proof@v1\nextra eyJ…\nindex 41\n…' }],
          },
        },
      },
      problems: ['invalid-request'],
      handle: async ({ query }) => ({
        status: 200,
        body: { keys: keys.ledger.published().map(({ vkey }) => vkey), ...(await toFollow.after(query.after ?? null)) },
        headers: { 'Cache-Control': 'public, max-age=60' },
      }),
    }),
  ];
}
