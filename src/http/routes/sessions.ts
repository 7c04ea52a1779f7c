import { Type } from 'typebox';
import { seenInList } from '../../broker/see.ts';
import { namesOf } from '../../store/persons.ts';
import { listSessions, sessionStates } from '../../store/sessions.ts';
import type { HttpContext } from '../context.ts';
import { sessionExample } from '../examples.ts';
import { listed, pageAnswer, pageOf } from '../lists.ts';
import { route, type Route } from '../route.ts';
import * as schemas from '../schemas.ts';
import { showSession } from '../show.ts';
import { LatchkeyError } from '../../domain/errors.ts';
import type { Caller } from '../../broker/context.ts';
import type { Seen } from '../../store/listing.ts';

export function sessionRoutes(context: HttpContext): Route[] {
  const { broker } = context;
  return [
    route({
      method: 'get',
      path: '/v1/sessions',
      id: 'listSessions',
      tag: 'Grants',
      summary: 'Sessions at devices, as the devices tell of them',
      audience: 'person',
      rule: 'those of grants that policy lets the caller see, and their own; 403 where they have no part',
      query: schemas.queryOf({
        state: Type.Optional(Type.Array(schemas.oneOf(sessionStates), { maxItems: 10 })),
        grant: Type.Optional(schemas.id('grant')),
        device: Type.Optional(schemas.id('device')),
        ...schemas.paging,
      }),
      answers: pageAnswer(schemas.SessionShape, sessionExample),
      problems: ['invalid-request', 'not-permitted'],
      async handle({ caller, query }) {
        const { state: states = [], grant = null, device = null } = query;
        const filter = { seen: seen(caller), states, grant, device };
        return listed(
          pageOf('session', query),
          (page) => listSessions(broker.pool, filter, page),
          (session) => session.id,
          async (items) => {
            const names = await namesOf(
              broker.pool,
              items.map((each) => each.person),
            );
            return items.map((each) => showSession(each, names));
          },
        );
      },
    }),
  ];

  /** Whoever sees others' grants sees their sessions; everyone else with grants of their own sees those. */
  function seen(caller: Caller): Seen {
    try {
      return seenInList(broker, caller, 'grants', 'all');
    } catch (error) {
      if (error instanceof LatchkeyError) return seenInList(broker, caller, 'grants', 'mine');
      throw error;
    }
  }
}
