import { Type } from 'typebox';
import { requireAdministrator } from '../../broker/administer.ts';
import { runCommand } from '../../broker/command.ts';
import { tenantsInList } from '../../broker/see.ts';
import { forgetPerson } from '../../broker/erase-person.ts';
import { offeredProfiles } from '../../broker/offered-profiles.ts';
import { formatDuration } from '../../domain/duration.ts';
import { LatchkeyError, invalid } from '../../domain/errors.ts';
import { listAlarms } from '../../store/alarms.ts';
import { listNotices } from '../../store/notices.ts';
import { findPerson, linkPersons, namesOf } from '../../store/persons.ts';
import { databaseNow } from '../../store/transaction.ts';
import type { HttpContext } from '../context.ts';
import { alarmExample, noticeExample, requestExample } from '../examples.ts';
import { listed, pageAnswer, pageOf } from '../lists.ts';
import { route, type Route } from '../route.ts';
import * as schemas from '../schemas.ts';
import { showAlarm, showNotice } from '../show.ts';
import { personActor } from './read.ts';

const everyone = 'anyone signed in, about themselves';

export function peopleRoutes(context: HttpContext): Route[] {
  const { broker } = context;
  return [
    route({
      method: 'get',
      path: '/v1/me',
      id: 'whoAmI',
      tag: 'People',
      summary: 'Who you are to this broker',
      audience: 'person',
      rule: everyone,
      answers: {
        200: {
          description: 'what your provider says of you, as far as it is believed',
          schema: schemas.Me,
          example: {
            ...requestExample.requester,
            teams: ['room-ops'],
            employer: 'provider',
            region: 'EU',
            trainingValidUntil: '2026-12-31T00:00:00.000Z',
          },
        },
      },
      problems: [],
      async handle({ caller }) {
        const names = await namesOf(broker.pool, [caller.id]);
        return { status: 200, body: { ...caller, name: names.get(caller.id) ?? null } };
      },
    }),

    route({
      method: 'get',
      path: '/v1/profiles',
      id: 'listProfiles',
      tag: 'People',
      summary: 'What you may ask for',
      audience: 'person',
      rule: 'the profiles that policy would let the caller ask for on some device',
      answers: {
        200: {
          description: 'profiles with their stages and longest durations',
          schema: Type.Object({ items: Type.Array(schemas.ProfileShape) }),
          example: {
            items: [
              {
                name: 'diagnose',
                title: 'Look at a device and its system logs',
                scopes: ['device.inspect', 'logs.collect:system'],
                dataClasses: ['System Metadata'],
                stages: [],
                longest: 'PT4H',
              },
            ],
          },
        },
      },
      problems: [],
      async handle({ caller }) {
        const profiles = offeredProfiles(broker, caller);
        const items = profiles.map(({ name, title, scopes, dataClasses, stages, longest }) => ({
          name,
          title,
          scopes,
          dataClasses,
          stages,
          longest: formatDuration(longest),
        }));
        return { status: 200, body: { items } };
      },
    }),

    route({
      method: 'get',
      path: '/v1/notices',
      id: 'listNotices',
      tag: 'People',
      summary: 'What you must be told',
      audience: 'person',
      rule: everyone,
      query: schemas.queryOf({ ...schemas.paging }),
      answers: pageAnswer(schemas.NoticeShape, noticeExample),
      problems: ['invalid-request'],
      async handle({ caller, query }) {
        const to = { person: caller.id, teams: caller.teams };
        return listed(
          pageOf('notice', query),
          (page) => listNotices(broker.pool, to, page),
          (n) => n.id,
          (items) => items.map(showNotice),
        );
      },
    }),

    route({
      method: 'get',
      path: '/v1/alarms',
      id: 'listAlarms',
      tag: 'People',
      summary: 'What somebody should look into',
      audience: 'person',
      rule: 'filtered to what policy lets the caller see: leads, operators, auditors; a tenant’s own for its approvers',
      query: schemas.queryOf({ state: Type.Optional(schemas.oneOf(['open', 'closed'] as const)), ...schemas.paging }),
      answers: pageAnswer(schemas.AlarmShape, alarmExample),
      problems: ['invalid-request', 'not-permitted'],
      async handle({ caller, query }) {
        const slugs = tenantsInList(broker, caller, 'alarms');
        const open = query.state === undefined ? null : query.state === 'open';
        return listed(
          pageOf('alarm', query),
          (page) => listAlarms(broker.pool, { slugs, open }, page),
          (a) => a.id,
          (items) => items.map(showAlarm),
        );
      },
    }),

    route({
      method: 'get',
      path: '/v1/policies',
      id: 'getPolicies',
      tag: 'People',
      summary: 'The policy bundle in force',
      audience: 'person',
      rule: 'anyone signed in',
      answers: {
        200: {
          description: 'its digest, since when, and why a newer one is refused',
          schema: Type.Object({
            digest: Type.String(),
            loadedAt: schemas.Time,
            error: schemas.nullable(Type.String()),
          }),
          example: { digest: `sha256:${'0'.repeat(64)}`, loadedAt: '2026-03-01T08:00:00.000Z', error: null },
        },
      },
      problems: [],
      async handle() {
        return { status: 200, body: context.policies.status() };
      },
    }),

    route({
      method: 'put',
      path: '/v1/persons/{id}/links/{other}',
      id: 'linkPersons',
      tag: 'People',
      summary: 'Say that two persons are one human',
      audience: 'person',
      rule: 'policy decides: `manage-tenants`, for no tenant in particular',
      params: Type.Object({ id: schemas.id('person'), other: schemas.id('person') }),
      body: schemas.Empty,
      answers: { 204: { description: 'they count as one from now on' } },
      problems: ['invalid-request', 'not-permitted', 'not-found'],
      async handle({ caller, params }) {
        return runCommand(broker, { actor: personActor(caller) }, async (tx, journal) => {
          const now = await databaseNow(tx);
          await requireAdministrator(broker, journal, caller, 'manage-tenants', null, now);
          const { id, other } = params;
          if (id === other) throw invalid('', 'a person cannot be linked to themselves');
          for (const person of [id, other]) {
            if (!(await findPerson(tx, person))) throw new LatchkeyError('not-found', 'there is no such person');
          }
          if (await linkPersons(tx, id, other, caller.id)) {
            journal.fact(now, null, { type: 'person.linked', person: id, other });
          }
          return { status: 204 };
        });
      },
    }),

    route({
      method: 'delete',
      path: '/v1/persons/{id}',
      id: 'erasePerson',
      tag: 'People',
      summary: 'Erase what is known of a person',
      audience: 'person',
      rule: 'policy decides: `manage-tenants`, for no tenant in particular; nobody erases themselves',
      params: Type.Object({ id: schemas.id('person') }),
      answers: { 204: { description: 'names, addresses and texts are gone; what happened stays, told of an id' } },
      problems: ['invalid-request', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, params }) {
        return runCommand(broker, { actor: personActor(caller) }, async (tx, journal) => {
          await forgetPerson(broker, tx, journal, caller, params.id);
          return { status: 204 };
        });
      },
    }),
  ];
}
