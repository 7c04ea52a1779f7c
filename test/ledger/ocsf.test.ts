import assert from 'node:assert/strict';
import { test } from 'node:test';
import manifest from '../../package.json' with { type: 'json' };
import { broker, eventOf, type LedgerEvent } from '../../src/ledger/events.ts';
import { grantToLookUp, ocsfVersion, toOcsf, type OcsfEvent } from '../../src/ledger/ocsf.ts';
import { everyFact, sampleEvent, sampleIds } from '../support/every-fact.ts';

const { person, other, device, grant: grantId, session, tenant, request } = sampleIds;
const subject = { person, devices: [device], scopes: ['device.inspect', 'usb.reset'] };

type Check = (value: unknown) => boolean;
const text: Check = (value) => typeof value === 'string' && value !== '';
const whole: Check = (value) => Number.isSafeInteger(value);
const list: Check = (value) => Array.isArray(value) && value.every((each) => text(each));
const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value);

/** What https://schema.ocsf.io/1.5.0 requires of every event, and of the classes that are written; paths by dots. */
const base: Readonly<Record<string, Check>> = {
  activity_id: whole,
  category_uid: whole,
  class_uid: whole,
  type_uid: whole,
  time: whole,
  severity_id: oneOf(1, 2, 3, 4),
  'metadata.version': oneOf('1.5.0'),
  'metadata.product.name': text,
  'metadata.product.vendor_name': text,
  'metadata.uid': text,
  'metadata.sequence': whole,
};
const classes: Readonly<Record<number, Readonly<Record<string, Check>>>> = {
  3005: {
    category_uid: oneOf(3),
    class_name: oneOf('User Access Management'),
    activity_id: oneOf(1, 2, 99),
    'user.uid': text,
    'user.type_id': oneOf(0, 1),
    privileges: list,
  },
  3003: {
    category_uid: oneOf(3),
    class_name: oneOf('Authorize Session'),
    activity_id: oneOf(1, 2, 99),
    'user.uid': text,
    'user.type_id': oneOf(0, 1),
    privileges: list,
  },
  6003: {
    category_uid: oneOf(6),
    class_name: oneOf('API Activity'),
    activity_id: oneOf(1, 2, 3, 4, 99),
    'api.operation': text,
    'src_endpoint.uid': text,
    actor: (value) => Object.keys(value as object).some((name) => ['user', 'app_uid', 'app_name'].includes(name)),
  },
};

/** What an event lacks of its class. */
function missing(event: OcsfEvent): string[] {
  const at = (path: string): unknown =>
    path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], event);
  const required = Object.entries({ ...base, ...classes[event.class_uid] });
  return required.filter(([path, check]) => !check(at(path))).map(([path]) => path);
}

for (const [index, fact] of Object.values(everyFact).entries()) {
  test(`${fact.type} has all that its class requires, with and without knowing whose the grant is`, () => {
    const event = sampleEvent(fact);
    for (const known of [null, subject]) {
      const mapped = toOcsf(index, event, known);
      assert.ok(classes[mapped.class_uid], `no schema for the class ${mapped.class_uid}`);
      assert.deepEqual(missing(mapped), []);
      assert.equal(mapped.type_uid, mapped.class_uid * 100 + mapped.activity_id);
      assert.equal(mapped.time, Date.parse('2026-03-01T09:40:00.123Z'));
      const { uid, sequence, event_code: code, tenant_uid: of } = mapped.metadata;
      assert.deepEqual({ uid, sequence, code, of }, { uid: event.id, sequence: index, code: fact.type, of: tenant });
      // An activity that the class has no word for carries one of its own.
      assert.equal(mapped.activity_name === fact.type, mapped.activity_id === 99);
      assert.deepEqual(JSON.parse(JSON.stringify(mapped)), mapped, 'it is plain JSON');
    }
  });

  test(`${fact.type} carries people by id alone, and of a device’s statement what is known to be harmless`, () => {
    const written = JSON.stringify(toOcsf(index, sampleEvent(fact), subject));
    assert.doesNotMatch(written, /canary|"statement"|eyJ/);
    const mapped = JSON.parse(written) as { user?: object; actor: { user?: object } };
    for (const user of [mapped.user, mapped.actor.user]) {
      if (user) assert.deepEqual(Object.keys(user).sort(), ['type', 'type_id', 'uid']);
    }
  });
}

test('the schema finds an event that lacks what its class requires', () => {
  const started = toOcsf(0, sampleEvent(everyFact['grant.started']));
  assert.deepEqual(missing({ ...started, user: undefined, time: 1.5 }), ['time', 'user.uid', 'user.type_id']);
  assert.deepEqual(missing({ ...started, class_uid: 6003, activity_id: 7 }), [
    'activity_id',
    'category_uid',
    'class_name',
    'api.operation',
    'src_endpoint.uid',
  ]);
});

test('grants give and take access, sessions are authorized, and the rest are acts of the API', () => {
  const typeUid = (type: keyof typeof everyFact): number => toOcsf(0, sampleEvent(everyFact[type])).type_uid;
  const expected: readonly (readonly [keyof typeof everyFact, number])[] = [
    ['grant.started', 300501],
    ['grant.extended', 300501],
    ['grant.expired', 300502],
    ['grant.revoked', 300502],
    ['grant.released', 300502],
    ['grant.scheduled', 300599],
    ['session.started', 300301],
    ['session.ended', 300399],
    ['session.refused', 300399],
    ['request.submitted', 600301],
    ['request.approved', 600303],
    ['credential.issued', 600301],
    ['device.enrolled', 600301],
    ['device.unenrolled', 600304],
    ['policy.loaded', 600303],
    ['key.rotated', 600303],
    ['action.performed', 600399],
    ['request.refused', 600399],
  ];
  for (const [type, uid] of expected) assert.equal(typeUid(type), uid, type);
  const renamed = sampleEvent({ ...everyFact['tenant.changed'], change: 'renamed' });
  assert.equal(toOcsf(0, renamed).type_uid, 600303);
});

test('what was refused is a failure, and what somebody should look at is not informational', () => {
  for (const fact of Object.values(everyFact)) {
    const { status_id: status, severity_id: severity } = toOcsf(0, sampleEvent(fact));
    assert.equal(status, fact.type.endsWith('.refused') ? 2 : 1, fact.type);
    if (/refused|alarm.raised|rollback|unenrolled|revoked/.test(fact.type)) assert.ok(severity > 1, fact.type);
  }
});

test('an end of access names whose it was and what it was to, once the grant is looked up', () => {
  for (const type of ['grant.expired', 'grant.revoked', 'grant.released', 'grant.extended'] as const) {
    const event = sampleEvent(everyFact[type]);
    assert.equal(grantToLookUp(event), grantId);
    const { user, privileges, resources } = toOcsf(3, event, subject);
    assert.deepEqual(user, { uid: person, type_id: 1, type: 'User' });
    assert.deepEqual(privileges, subject.scopes);
    assert.ok((resources as object[]).some((each) => 'uid' in each && each.uid === device));
    assert.deepEqual(toOcsf(3, event).user, { uid: 'unknown', type_id: 0, type: 'Unknown' });
  }
  assert.equal(grantToLookUp(sampleEvent(everyFact['grant.started'])), null);
  assert.equal(grantToLookUp(sampleEvent(everyFact['tenant.changed'])), null);
});

test('a session names its person from the device’s own words, and otherwise from the grant', () => {
  const started = toOcsf(0, sampleEvent(everyFact['session.started']), null);
  assert.deepEqual([started.user, started['session']], [{ uid: person, type_id: 1, type: 'User' }, { uid: session }]);
  assert.deepEqual(started.privileges, ['device.inspect']);
  const performed = toOcsf(0, sampleEvent(everyFact['action.performed']), subject);
  assert.deepEqual(performed.actor['user'], { uid: person, type_id: 1, type: 'User' });
  assert.equal(performed.unmapped['scope'], 'usb.reset');
  const ended = toOcsf(0, sampleEvent(everyFact['session.ended']), subject);
  assert.deepEqual([ended.unmapped['cause'], ended.unmapped['lagMs']], ['closed', 12]);
});

test('a statement that cannot be read maps all the same', () => {
  for (const statement of ['', 'x', 'a.b.c', 'a.bnVsbA.c', 'a.W10.c', 'a.IiI.c']) {
    const event = { ...sampleEvent(everyFact['session.started']), statement } as LedgerEvent;
    assert.deepEqual(missing(toOcsf(0, event)), [], statement);
  }
});

test('the broker acts as a program and a person as a user, and an event of no tenant names none', () => {
  const about = { at: new Date(0), region: 'EU', tenant: null };
  const own = toOcsf(0, eventOf(everyFact['request.lapsed'], { ...about, actor: broker }));
  assert.deepEqual(own.actor, { app_uid: 'broker', app_name: 'latchkey' });
  assert.ok(!('tenant_uid' in own.metadata));
  const persons = toOcsf(0, sampleEvent(everyFact['request.approved']));
  assert.deepEqual(persons.actor, { user: { uid: other, type_id: 1, type: 'User' } });
  assert.deepEqual(persons['resources'], [{ uid: request, type: 'request' }]);
  assert.deepEqual(persons.metadata['product'], {
    name: 'Latchkey',
    vendor_name: 'Latchkey',
    version: manifest.version,
  });
  assert.equal(persons.metadata['version'], ocsfVersion);
});
