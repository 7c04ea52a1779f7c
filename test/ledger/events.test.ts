import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import { after, before, test } from 'node:test';
import { calculateJwkThumbprint } from 'jose';
import { createLog } from '../../src/log.ts';
import { newTestBroker, type Reply, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';
import type { TestPerson } from '../support/issuer.ts';

const inTenYears = new Date(Date.now() + 10 * 365 * 86_400_000).toISOString();
const person = (name: string, teams: string[], employer = 'provider'): TestPerson => ({
  sub: `subject-canary-${name}`,
  name: `Namecanary ${name}`,
  email: `mailcanary-${name}@canary.example`,
  teams,
  employer,
  region: 'EU',
  trainingValidUntil: inTenYears,
});
const engineer = person('Ida', ['room-ops', 'room-leads']);
const lead = person('Lou', ['room-leads']);
const approver = person('Cam', ['customer-approvers:contoso'], 'customer');
const operator = person('Oli', ['operators']);

let broker: TestBroker;
/** Everything that must be found nowhere but in its own table, or nowhere at all. */
const canaries = new Set<string>(['canary']);
/** What the program's own log makes of what the broker says. */
const printed: string[] = [];

before(async () => {
  broker = await newTestBroker();
  await scenario();
  const log = createLog(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        printed.push(chunk.toString('utf8'));
        done();
      },
    }),
  );
  for (const { level, message, ...fields } of broker.logLines as { level: 'info'; message: string }[]) {
    log[level](fields, message);
  }
});
after(() => broker.stop());

/** Everybody says everything that they can say, each time with a word of their own. */
async function scenario(): Promise<void> {
  const must = async (status: number, ...call: Parameters<TestBroker['call']>): Promise<Reply['body']> => {
    const reply = await broker.call(...call);
    assert.equal(reply.status, status, JSON.stringify(reply.body));
    return reply.body;
  };
  const text = (kind: string): string => `canary-${kind}-${randomUUID()}`;
  const key = await newEngineerKey();
  canaries.add(await calculateJwkThumbprint(key.publicJwk));
  const { id: tenant } = broker.contoso;
  const { code } = await must(201, operator, 'POST', '/v1/enrolment-codes', { tenant });
  canaries.add(code);
  const device = await broker.enrol(tenant, { hostname: text('hostname'), serial: text('serial') });
  canaries.add(await calculateJwkThumbprint(device.publicJwk));
  await device.signIn();
  await device.call('PUT', '/v1/agent/state', { facts: { hostname: text('fact') } });

  const wish = (more: object = {}): object => ({
    profile: 'remote-admin',
    devices: [device.id],
    duration: 'PT10M',
    reason: text('reason'),
    ticket: text('ticket'),
    ...more,
  });
  const asked = await must(201, engineer, 'POST', '/v1/requests', wish(), {
    headers: { 'idempotency-key': text('key') },
  });
  const path = `/v1/requests/${asked.id}/decisions`;
  await must(200, lead, 'POST', path, { verdict: 'approve', stage: 'lead', comment: text('comment') });
  const { grant } = await must(200, approver, 'POST', path, { verdict: 'approve', comment: text('comment') });
  const url = `/v1/grants/${grant.id}/credentials`;
  const proof = await key.proof('POST', broker.config.publicUrl + url);
  const minted = await must(201, engineer, 'POST', url, { device: device.id }, { headers: { dpop: proof } });
  canaries.add(proof).add(minted.credential);
  // A replay, a wrong key and rubbish are logged, too.
  await must(400, engineer, 'POST', url, { device: device.id }, { headers: { dpop: proof } });
  const other = await newEngineerKey();
  const otherProof = await other.proof('POST', broker.config.publicUrl + url);
  canaries.add(otherProof).add(await calculateJwkThumbprint(other.publicJwk));
  await must(409, engineer, 'POST', url, { device: device.id }, { headers: { dpop: otherProof } });
  await must(400, engineer, 'POST', '/v1/requests', { reason: text('reason'), [text('member')]: 1 });
  await must(404, engineer, 'GET', `/v1/requests/${text('path')}`);
  await must(400, engineer, 'GET', `/v1/devices?q=${text('query')}&${text('parameter')}=1`);
  assert.equal(
    (await fetch(`${broker.config.publicUrl}/v1/me`, { headers: { authorization: `Bearer ${text('token')}` } })).status,
    401,
  );

  const extension = await must(201, engineer, 'POST', `/v1/grants/${grant.id}/extensions`, {
    duration: 'PT5M',
    reason: text('reason'),
  });
  await must(200, lead, 'POST', `/v1/requests/${extension.id}/decisions`, {
    verdict: 'deny',
    comment: text('comment'),
  });
  await must(200, lead, 'POST', `/v1/grants/${grant.id}/revoke`, { reason: text('reason') });
  const glass = await must(201, engineer, 'POST', '/v1/requests', wish({ profile: 'break-glass' }));
  await must(200, lead, 'POST', `/v1/grants/${glass.grant.id}/review`, {
    verdict: 'unjustified',
    comment: text('comment'),
  });
  await must(403, engineer, 'POST', '/v1/requests', wish({ duration: 'P1D' }));
  await must(200, engineer, 'POST', `/v1/grants/${glass.grant.id}/release`);
  await must(204, operator, 'DELETE', `/v1/devices/${device.id}?erase=true`);
}

const subjects = /subject-canary/;

function requireNone(text: string, where: string): void {
  for (const canary of canaries) {
    const found = text.toLowerCase().indexOf(canary.toLowerCase());
    assert.equal(found, -1, `${where}: ${text.slice(Math.max(0, found - 60), found + 60)}`);
  }
  assert.doesNotMatch(text, /eyJ[\w-]{10,}/, `${where}: a token`);
}

test('the scenario left a trace of each kind', async () => {
  const { rows } = await broker.sql.query<{ type: string }>('SELECT DISTINCT type FROM audit_events');
  const types = rows.map((row) => row.type);
  for (const type of [
    'request.submitted',
    'request.refused',
    'request.approved',
    'request.denied',
    'credential.issued',
  ]) {
    assert.ok(types.includes(type), type);
  }
  for (const type of ['grant.revoked', 'review.completed', 'device.enrolled', 'device.unenrolled', 'alarm.raised']) {
    assert.ok(types.includes(type), type);
  }
  assert.ok(printed.length > 20);
  await broker.checkLedger();
});

test('the ledger holds no name, address, reason, ticket, comment, host name, key or token', async () => {
  const { rows } = await broker.sql.query<{ bytes: Buffer }>('SELECT bytes FROM audit_events');
  for (const { bytes } of rows) requireNone(bytes.toString('utf8'), 'an event');
});

test('what the ledger commits to is kept beside it, and nowhere else', async () => {
  const { rows } = await broker.sql.query<{ value: string }>('SELECT value FROM disclosures');
  const kept = rows.map((row) => row.value).join('\n');
  for (const kind of ['reason', 'ticket', 'comment']) assert.match(kept, new RegExp(`canary-${kind}-`));
  const { rows: tables } = await broker.sql.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
       AND NOT relispartition AND relname NOT IN ('personal_data', 'disclosures', 'persons')`,
  );
  for (const { name } of tables) {
    const { rows } = await broker.sql.query<{ text: string }>(`SELECT t::text AS text FROM ${name} t`);
    for (const { text } of rows) {
      // Keys that a person chose, and the thumbprints by which keys are known again, are kept with what they are for.
      const mayHoldKeys = ['idempotent_answers', 'grants', 'devices'].includes(name);
      assert.doesNotMatch(
        text,
        mayHoldKeys ? /canary-(reason|ticket|comment)|mailcanary|namecanary/i : /canary/i,
        name,
      );
    }
  }
  const { rows: people } = await broker.sql.query<{ text: string }>('SELECT t::text AS text FROM persons t');
  for (const { text } of people) assert.doesNotMatch(text.replace(subjects, ''), /canary/i);
});

test('the log holds none of it either, nor addresses, query strings or bodies', () => {
  for (const line of printed) requireNone(line, 'a line of the log');
  requireNone(JSON.stringify(broker.logLines), 'what the broker gives its log');
});

test('a line of the log is one JSON object with a time and a level', () => {
  for (const line of printed) {
    assert.equal(line.indexOf('\n'), line.length - 1);
    const { time, level, message } = JSON.parse(line) as Record<string, string>;
    assert.match(time!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.ok(['info', 'warn', 'error'].includes(level!));
    assert.equal(typeof message, 'string');
  }
});
