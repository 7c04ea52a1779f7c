import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Client } from 'pg';
import { listAlarms } from '../../src/store/alarms.ts';
import { forgetExpired, useProof } from '../../src/store/credentials.ts';
import {
  confirmGeneration,
  demandAfter,
  findRelease,
  findUntidySecrets,
  isPrepared,
  lockSecret,
  recordTidied,
  retireSecret,
  takeOverdueSecrets,
  takeReleasesToFollow,
} from '../../src/store/device-secrets.ts';
import { forgetStatements } from '../../src/store/device-statements.ts';
import {
  findDevices,
  lockEnrolled,
  lockEnrolledOf,
  listDevices,
  recordErasure,
  recordUnenrolment,
} from '../../src/store/devices.ts';
import { eraseDisclosuresOf, eraseLateDisclosures } from '../../src/store/disclosures.ts';
import * as due from '../../src/store/due.ts';
import * as changes from '../../src/store/grant-changes.ts';
import * as grants from '../../src/store/grants.ts';
import { findAnswer, releaseOldKey } from '../../src/store/idempotency.ts';
import * as live from '../../src/store/live-grants.ts';
import { listNotices } from '../../src/store/notices.ts';
import * as persons from '../../src/store/persons.ts';
import * as requests from '../../src/store/requests.ts';
import { forgetEarlyEnds, takeUnconfirmed } from '../../src/store/session-ends.ts';
import { listSessions } from '../../src/store/sessions.ts';
import { findTenant } from '../../src/store/tenants.ts';
import type { Tx } from '../../src/store/transaction.ts';
import { grantStates } from '../../src/domain/grant.ts';
import { requestStates } from '../../src/domain/request.ts';
import type { Seen } from '../../src/store/listing.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { connect } from '../support/sql.ts';
import { explain, recording } from './explain.ts';
import { newFullDatabase, nth, sizes } from './full-database.ts';

let database: TestDatabase;
let client: Client;
before(async () => {
  database = await newFullDatabase();
  client = await connect(database.superuserUrl);
});
after(async () => {
  await client.end();
  await database.drop();
});

const page = { before: null, limit: 51 };
const later = { before: nth('grt', 30_000), limit: 51 };
const ada = nth('per', 7);
const stranger = nth('per', sizes.persons);
const at = new Date();
/** A few pages' worth, out of fifty thousand. */
const aFew = 3_000;

/** Runs `work` and requires of each of its statements that it read no more rows than these, nor any table whole. */
async function reads(atMost: number, work: (tx: Tx) => unknown): Promise<void> {
  await client.query('BEGIN');
  try {
    const { tx, statements } = recording(client);
    await work(tx);
    assert.ok(statements.length > 0);
    for (const statement of statements) {
      for (const plan of statement.name === undefined ? (['custom'] as const) : (['custom', 'generic'] as const)) {
        await client.query('SAVEPOINT explained');
        const reading = await explain(client, statement, plan);
        await client.query('ROLLBACK TO SAVEPOINT explained');
        const said = `${statement.name ?? 'list'}, ${plan} plan:\n  ${reading.scans.join('\n  ')}\n${statement.text}`;
        assert.deepEqual(reading.wholeTables, [], said);
        assert.ok(reading.rows <= atMost, `read ${reading.rows} rows, not ${atMost}: ${said}`);
      }
    }
  } finally {
    await client.query('ROLLBACK');
  }
}

const seen: Record<string, Seen> = {
  everything: { all: true, tenants: [], own: null },
  'of a busy engineer': { all: false, tenants: [], own: ada },
  'of somebody with nothing': { all: false, tenants: [], own: stranger },
  'of the largest tenant': { all: false, tenants: ['tenant-1'], own: stranger },
  'of the smallest tenant': { all: false, tenants: ['tenant-100'], own: stranger },
  'of a few tenants and my own': { all: false, tenants: ['tenant-2', 'tenant-3', 'tenant-1'], own: ada },
};

describe('a page of a list is found without reading the list', () => {
  for (const [whose, what] of Object.entries(seen)) {
    test(`grants and requests, ${whose}, in any state`, async () => {
      for (const states of [[], ...grantStates.map((state) => [state]), ['active', 'scheduled'] as const]) {
        const filter = { seen: what, states, tenant: null, device: null };
        await reads(aFew, (tx) => grants.listGrants(tx, filter, page));
        await reads(aFew, (tx) => grants.listGrants(tx, filter, later));
      }
      for (const states of [[], ...requestStates.map((state) => [state]), ['pending', 'lapsed'] as const]) {
        const filter = { seen: what, states, tenant: null };
        await reads(aFew, (tx) => requests.listRequests(tx, filter, page));
        await reads(aFew, (tx) => requests.listRequests(tx, filter, { ...page, before: nth('req', 40_000) }));
      }
    });
  }

  test('grants and requests of one tenant, and grants of one device', async () => {
    for (const tenant of ['tenant-1', 'tenant-50', 'tenant-100', nth('ten', 50) as string, 'unknown']) {
      for (const what of Object.values(seen)) {
        const filter = { seen: what, states: [], tenant };
        await reads(aFew, (tx) => grants.listGrants(tx, { ...filter, device: null }, page));
        await reads(aFew, (tx) => grants.listGrants(tx, { ...filter, states: ['active'], device: null }, page));
        await reads(aFew, (tx) => requests.listRequests(tx, { ...filter, states: ['pending'] }, page));
      }
    }
    for (const what of Object.values(seen)) {
      const device = nth('dev', 17);
      await reads(aFew, (tx) => grants.listGrants(tx, { seen: what, states: [], tenant: null, device }, page));
      await reads(aFew, (tx) => grants.listGrants(tx, { seen: what, states: ['active'], tenant: null, device }, page));
    }
  });

  test('what waits for an approver', async () => {
    const approver = { persons: [nth('per', 4_000)], tenant: null };
    await reads(aFew, (tx) => requests.listApprovable(tx, { ...approver, teams: ['room-leads'] }, page));
    await reads(aFew, (tx) => requests.listApprovable(tx, { ...approver, teams: ['nobody'] }, page));
    await reads(aFew, (tx) =>
      requests.listApprovable(tx, { ...approver, teams: ['room-leads'], tenant: 'tenant-100' }, page),
    );
  });

  test('sessions, of anyone, of a grant, of a device, in any state', async () => {
    for (const what of Object.values(seen)) {
      for (const states of [[], ['open'], ['ended'], ['unconfirmed']] as const) {
        const filter = { seen: what, states, grant: null, device: null };
        await reads(aFew, (tx) => listSessions(tx, filter, page));
        await reads(aFew, (tx) => listSessions(tx, { ...filter, device: nth('dev', 5) }, page));
        await reads(aFew, (tx) => listSessions(tx, { ...filter, grant: nth('grt', 401) }, page));
      }
    }
  });

  test('alarms and notices', async () => {
    for (const open of [true, false, null]) {
      await reads(aFew, (tx) => listAlarms(tx, { slugs: null, open }, page));
      await reads(aFew, (tx) => listAlarms(tx, { slugs: ['tenant-100'], open }, page));
      await reads(aFew, (tx) => listAlarms(tx, { slugs: ['tenant-1', 'tenant-4'], open }, page));
    }
    for (const teams of [[], ['room-leads'], ['customer-approvers:tenant-7', 'room-leads'], ['nobody']]) {
      await reads(aFew, (tx) => listNotices(tx, { person: ada, teams }, page));
      await reads(aFew, (tx) => listNotices(tx, { person: stranger, teams }, { ...page, before: nth('ntc', 9_000) }));
    }
  });

  test('devices, by tenant and by a part of what is known of them', async () => {
    for (const slugs of [null, ['tenant-1'], ['tenant-9', 'tenant-12']]) {
      for (const tenant of [null, 'tenant-12', nth('ten', 1) as string]) {
        for (const q of [null, 'room', 'SN971', 'room-9999', 'nothing of the kind', 'a_c%e', 'dev_000000']) {
          await reads(aFew, (tx) => listDevices(tx, { slugs, tenant, q }, page));
        }
      }
    }
  });
});

describe('a statement on the way of a request reads no more than it needs', () => {
  const ids = [nth('grt', 3), nth('grt', 49_700), nth('grt', 49_990)];
  const devices = Array.from({ length: 50 }, (_, n) => nth('dev', n + 1));

  test('finding and locking one thing', async () => {
    await reads(20, (tx) => grants.findGrant(tx, ids[0]!));
    await reads(20, (tx) => grants.lockGrant(tx, ids[0]!));
    await reads(20, (tx) => requests.lockRequest(tx, nth('req', 3)));
    await reads(300, (tx) => grants.findGrants(tx, ids));
    await reads(300, (tx) => findDevices(tx, devices));
    await reads(300, (tx) => lockEnrolled(tx, devices));
    await reads(20, (tx) => lockEnrolledOf(tx, nth('req', 3)));
    await reads(2 * sizes.tenants, (tx) => findTenant(tx, 'tenant-50'));
  });

  test('people', async () => {
    const said = {
      issuer: 'https://login.example',
      subject: 's77',
      name: 'Ada',
      emailFolded: 'ada@example',
      human: 'ada',
      teams: ['room-ops'],
      employer: 'provider',
      region: 'EU',
      trainingValidUntil: null,
      claimsAt: at,
    };
    await reads(50, (tx) => persons.upsertPerson(tx, nth('per', 90_000), said));
    await reads(50, (tx) => persons.upsertPerson(tx, nth('per', 90_000), { ...said, subject: 'new' }));
    await reads(50, (tx) => persons.aliasesOf(tx, nth('per', 100)));
    await reads(50, (tx) => persons.namesAround(tx, nth('req', 3), nth('per', 100)));
    await reads(500, (tx) =>
      persons.namesOf(
        tx,
        Array.from({ length: 100 }, (_, n) => nth('per', n + 1)),
      ),
    );
    await reads(1_000, (tx) => grants.hasOverdueReview(tx, [ada, stranger]));
  });

  test('idempotency keys and proofs', async () => {
    const hash = createHash('sha256').update('body').digest();
    await reads(10, (tx) => findAnswer(tx, ada, '506'));
    await reads(10, (tx) => releaseOldKey(tx, ada, '506'));
    await reads(10, (tx) => useProof(tx, hash.toString('base64url'), at));
  });

  test('writing what has come of things', async () => {
    await reads(20, (tx) => changes.recordStart(tx, ids[2]!, at));
    await reads(20, (tx) => changes.recordExtension(tx, ids[1]!, new Date(Date.now() + 9e6)));
    await reads(20, (tx) => requests.lapseExtensionsOf(tx, ids[1]!, at));
    await reads(20, (tx) => changes.fixKey(tx, ids[1]!, 'key'));
  });
});

describe('what the clock and the devices ask for, many times a second, reads what is due and no more', () => {
  const devices = Array.from({ length: 200 }, (_, n) => nth('dev', n + 1));

  test('when the next thing is due', () => reads(100, (tx) => due.nextDue(tx)));
  test('grants that end', () => reads(400, (tx) => due.expireDue(tx, 2_000)));
  test('grants that begin', () => reads(200, (tx) => due.lockDueToStart(tx)));
  test('requests that lapse', () => reads(500, (tx) => due.lapseDue(tx, 2_000)));
  test('overdue reviews', () => reads(400, (tx) => due.findOverdueReviews(tx, 2_000)));
  test('lists that changed', () => reads(200, (tx) => live.recentVersions(tx, 20)));
  test('the lists of devices', () => reads(aFew, (tx) => live.readLiveLists(tx, devices)));
  test('raising their versions', () => reads(aFew, (tx) => live.raiseLiveVersions(tx, devices)));
  test('what is live on a device', async () => {
    await reads(100, (tx) => live.grantsLiveOn(tx, nth('dev', 5)));
    await reads(100, (tx) => live.leaveGrants(tx, nth('dev', 5), at));
  });
  // One in five hundred is open: two lookups for each.
  test('ends that nobody has confirmed', () => reads(aFew, (tx) => takeUnconfirmed(tx, 60, 50)));
  test('passwords that are to be followed by others', () => reads(500, (tx) => takeReleasesToFollow(tx, 3_600, 50)));
  test('passwords that were not set in time', () => reads(500, (tx) => takeOverdueSecrets(tx, 300, 20)));
  test('passwords that are to go from the vault', () => reads(500, (tx) => findUntidySecrets(tx, 20)));
  test('the password of a device', async () => {
    const device = nth('dev', 5);
    await reads(100, (tx) => lockSecret(tx, device));
    await reads(100, (tx) => findRelease(tx, nth('grt', 5), device));
    await reads(100, (tx) => demandAfter(tx, [{ device, generation: 4 }]));
    await reads(100, (tx) => isPrepared(tx, device, 5));
    await reads(100, (tx) => confirmGeneration(tx, device, 5));
    await reads(100, (tx) => recordTidied(tx, { device, confirmed: 5, version: null, erased: false, since: at }));
    await reads(100, (tx) => retireSecret(tx, device, true));
  });
  test('forgetting', () => reads(1_000, (tx) => forgetExpired(tx)));
  test('forgetting which statements were counted', async () => {
    await reads(500, (tx) => forgetStatements(tx, nth('evt', 100), 1_000));
    await reads(500, (tx) => forgetEarlyEnds(tx, new Date(Date.now() - 9_900 * 60_000)));
  });
  test('what was collected about a device', async () => {
    await reads(500, (tx) => eraseDisclosuresOf(tx, nth('dev', 5)));
    const later = new Date(Date.now() + 60_000);
    await reads(500, async (tx) => {
      await recordUnenrolment(tx, nth('dev', 5), later);
      await recordErasure(tx, nth('dev', 5), later);
    });
  });
  test('what was written alongside an erasure', async () => {
    await client.query(`UPDATE devices SET unenrolled_at = now(), erased_at = now() WHERE id = $1`, [nth('dev', 6)]);
    await reads(500, (tx) => eraseLateDisclosures(tx));
  });
});
