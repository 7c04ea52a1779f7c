import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newId } from '../../src/domain/ids.ts';
import { createAudit, Offence } from '../../src/ledger/audit.ts';
import { canonicalJson } from '../../src/ledger/canonical.ts';

type Event = Record<string, unknown>;

const start = Date.parse('2026-03-01T09:00:00.000Z');
const iso = (seconds: number): string => new Date(start + seconds * 1_000).toISOString();
const made = <K extends Parameters<typeof newId>[0]>(kind: K, seconds: number) => newId(kind, start + seconds * 1_000);

const [ada, chloe, priya, zed] = [made('person', 0), made('person', 0), made('person', 0), made('person', 0)];
const [room, lobby] = [made('device', 0), made('device', 0)];
const tenant = made('tenant', 0);
const request = made('request', 0);
const more = made('request', 60);
const grant = made('grant', 20);
const jti = made('credential', 30);
const session = made('session', 31);
const otherGrant = made('grant', 21);
const hash = 'a'.repeat(43);
const decision = { policy: 'sha256:0', policies: ['team'], inputs: hash };
const scopes = ['device.inspect', 'usb.reset'];
const person = (id: string) => ({ kind: 'person', id });
const broker = { kind: 'broker', id: 'broker' };
const device = { kind: 'device', id: room };

const event = (seconds: number, type: string, actor: object, fact: object): Event => ({
  v: 1,
  id: made('event', seconds),
  type,
  at: iso(seconds),
  region: 'EU',
  tenant,
  actor,
  ...fact,
});
const asking = { profile: 'remediate', devices: [room, lobby], scopes, dataClasses: [], startsAt: null, reason: hash };
const states = (type: string, more: object = {}): object => {
  const claims = { iss: room, type, session, grant, person: ada, credential: hash, credentialId: jti, ...more };
  return { device: room, session, grant, statement: statementOf(claims) };
};
function statementOf(claims: object): string {
  return `e30.${Buffer.from(JSON.stringify({ iss: room, ...claims })).toString('base64url')}.c2ln`;
}

/** A whole life, by name; later ones may be left out, changed or repeated. */
const story: Readonly<Record<string, Event>> = {
  submitted: event(0, 'request.submitted', person(ada), {
    ...asking,
    request,
    duration: 600,
    stages: [
      { name: 'lead', from: ['room-leads'], needs: 1 },
      { name: 'privacy', from: ['privacy-office'], needs: 1 },
    ],
    lapsesAt: iso(3_600),
    extends: null,
    ticket: null,
    decisions: [decision],
  }),
  lead: event(10, 'request.approved', person(chloe), { request, stage: 'lead', comment: null, narrow: null, decision }),
  privacy: event(20, 'request.approved', person(priya), {
    request,
    stage: 'privacy',
    comment: null,
    narrow: { duration: 300, devices: [room] },
    decision,
  }),
  started: event(20, 'grant.started', broker, {
    grant,
    request,
    person: ada,
    profile: 'remediate',
    devices: [room],
    scopes,
    startsAt: iso(20),
    expiresAt: iso(320),
    decisions: [decision],
  }),
  issued: event(30, 'credential.issued', person(ada), {
    credential: hash,
    jti,
    grant,
    device: room,
    person: ada,
    scopes,
    iat: start / 1_000 + 30,
    nbf: start / 1_000 + 30,
    exp: start / 1_000 + 320,
    decision: hash,
  }),
  session: event(31, 'session.started', device, states('session.started')),
  more: event(60, 'request.submitted', person(ada), {
    ...asking,
    request: more,
    duration: 60,
    stages: [],
    lapsesAt: iso(320),
    extends: grant,
    ticket: null,
    decisions: [decision],
  }),
  extended: event(60, 'grant.extended', broker, { grant, request: more, from: iso(320), to: iso(380) }),
  revoked: event(90, 'grant.revoked', person(chloe), { grant, reason: hash, cause: 'person', decision }),
  ended: event(91, 'session.ended', device, states('session.ended')),
};

const bytesOf = (event: Event): Buffer => Buffer.from(canonicalJson(event));

const rotated = (from: string, to: string, key = 'ledger'): Event =>
  event(1, 'key.rotated', broker, { key, from, to, cause: 'age', withdrawn: [] });

/** Audits events in order. @returns the first offence, or null. */
const audit = (events: readonly Event[]): Offence | null => {
  const audit = createAudit();
  try {
    for (const event of events) audit.entry(bytesOf(event));
    audit.finish();
    return null;
  } catch (error) {
    assert.ok(error instanceof Offence, String(error));
    return error;
  }
};

/** The story with some of its events changed, left out (null), or followed by others. */
const told = (changes: Readonly<Record<string, object | null>>, ...after: Event[]): Event[] => [
  ...Object.entries(story).flatMap(([name, event]) => (changes[name] === null ? [] : [{ ...event, ...changes[name] }])),
  ...after,
];
const places = Object.keys(story);
const at = (name: string): number => places.indexOf(name);

test('a whole life holds', () => {
  const audit = createAudit();
  for (const leaf of told({}).map(bytesOf)) audit.entry(leaf);
  assert.equal(audit.size, places.length);
  assert.deepEqual(audit.finish(), { unknownTypes: 0, lateSessions: 0 });
});

type Offending = readonly [what: string, events: readonly Event[], index: number, reason: RegExp];
const offences: readonly Offending[] = [
  ['a grant without one of its stages', told({ privacy: null }), at('started') - 1, /stage `privacy` .* 0 of 1/],
  ['a grant without its request', told({ submitted: null, lead: null, privacy: null }), 0, /is not open/],
  ['an approval by who asked', told({ lead: { actor: person(ada) } }), at('lead'), /approved by who asked/],
  ['two stages by one human', told({ privacy: { actor: person(chloe) } }), at('privacy'), /twice by one human/],
  ['an approval by a device', told({ lead: { actor: device } }), at('lead'), /a person’s/],
  ['an approval of a stage that is not there', told({ lead: { stage: 'boss' } }), at('lead'), /no stage `boss`/],
  ['an approval after the lapse', told({ submitted: { lapsesAt: iso(5) } }), at('lead'), /lapsed/],
  ['a grant for somebody else', told({ started: { person: zed } }), at('started'), /not for who asked/],
  [
    'a device that an approver had taken out',
    told({ started: { devices: [room, lobby] } }),
    at('started'),
    /more than was agreed/,
  ],
  [
    'a scope that nobody asked for',
    told({ started: { scopes: [...scopes, 'device.wipe'] } }),
    at('started'),
    /more than was agreed/,
  ],
  [
    'a grant for longer than was agreed',
    told({ started: { expiresAt: iso(400) } }),
    at('started'),
    /longer than was agreed/,
  ],
  ['a grant of another profile', told({ started: { profile: 'break-glass' } }), at('started'), /another profile/],
  [
    'a grant under an id of another time',
    told({ started: { grant: made('grant', 5) } }),
    at('started'),
    /there before/,
  ],
  [
    'a second grant for one request',
    told({}, { ...story.started!, grant: made('grant', 20) }),
    places.length,
    /is not open/,
  ],
  ['a credential for another device', told({ issued: { device: lobby } }), at('issued'), /not for/],
  ['a credential for another person', told({ issued: { person: zed } }), at('issued'), /not its holder’s/],
  ['a credential with another scope', told({ issued: { scopes: ['device.wipe'] } }), at('issued'), /allows more/],
  ['a credential that outlives its grant', told({ issued: { exp: start / 1_000 + 321 } }), at('issued'), /outlives/],
  ['a credential of another moment', told({ issued: { iat: start / 1_000 } }), at('issued'), /not issued when it says/],
  ['a credential after the end', told({}, { ...story.issued!, at: iso(95) }), places.length, /is not live/],
  ['a session without its credential', told({ issued: null }), at('session') - 1, /has no credential/],
  ...Object.entries({
    'with the id of another credential': states('session.started', { credentialId: made('credential', 31) }),
    'with the bytes of another credential': states('session.started', { credential: 'b'.repeat(43) }),
    'of another person': states('session.started', { person: zed }),
    'of another grant': { ...states('session.started', { grant: otherGrant }), grant: otherGrant },
    'on another device': {
      ...states('session.started', { iss: lobby }),
      actor: { kind: 'device', id: lobby },
      device: lobby,
    },
  }).map(([what, change]): Offending => [
    `a session ${what} than was issued`,
    told({ session: change }),
    at('session'),
    /has no credential/,
  ]),
  [
    'a session of another device’s',
    told({ session: { actor: { kind: 'device', id: lobby } } }),
    at('session'),
    /of its device/,
  ],
  ['a statement that says another thing', told({ session: states('session.ended') }), at('session'), /another thing/],
  ['more time than was agreed', told({ extended: { to: iso(381) } }), at('extended'), /more than was agreed/],
  ['more time from another end', told({ extended: { from: iso(300) } }), at('extended'), /did not end then/],
  ['more time without a request', told({ more: null }), at('extended') - 1, /is not open/],
  ['a second end', told({}, event(92, 'grant.released', person(ada), { grant })), places.length, /is not live/],
  [
    'an end by the clock before its time',
    told({ revoked: null, ended: null }, event(90, 'grant.expired', broker, { grant, expiresAt: iso(380) })),
    at('revoked'),
    /ends by its clock/,
  ],
  ['an end by nobody', told({ revoked: { actor: broker } }), at('revoked'), /not by whom/],
  ['a name in an event', told({ revoked: { name: 'Ada' } }), at('revoked'), /member `name`/],
  ['a person’s id where none belongs', told({ submitted: { profile: ada } }), 0, /member `profile`/],
  ['a reason in words', told({ revoked: { reason: 'the panel froze' } }), at('revoked'), /member `reason`/],
  ['a key in place of another than the last', [rotated('a', 'b'), rotated('c', 'd')], 1, /than the one before it/],
  ['a key that comes back', [rotated('a', 'b'), rotated('b', 'a')], 1, /brings back/],
  ['a key with something beside it', [{ ...rotated('a', 'b'), privateKey: 'x' }], 0, /member `privateKey`/],
  ['a member that is missing', [{ ...story.submitted, at: undefined }], 0, /member `at`/],
];

describe('an audit finds', () => {
  for (const [what, events, index, reason] of offences) {
    test(what, () => {
      const offence = audit(events.map((each) => JSON.parse(JSON.stringify(each)) as Event));
      assert.ok(offence, 'nothing was found');
      assert.match(offence.message, reason);
      assert.equal(offence.index, index, offence.message);
    });
  }
});

describe('an audit of passwords', () => {
  const secret = 'local-admin';
  const allowing = { scopes: ['secret.read:local-admin'] };
  const about = { device: room, secret };
  const says = (generation: number) => ({
    ...about,
    generation,
    statement: statementOf({ type: 'secret.rotated', secret, generation }),
  });
  const prepared = event(21, 'secret.prepared', device, { ...about, generation: 4, commitment: hash });
  const rotatedFirst = event(22, 'secret.rotated', device, says(4));
  const given = { ...about, grant, person: ada, generations: [4], decision: hash };
  const released = event(40, 'secret.released', person(ada), given);
  const until = (...after: Event[]): Event[] => {
    const { submitted, lead, privacy, started } = story;
    return [{ ...submitted, ...allowing }, lead!, privacy!, { ...started, ...allowing }, ...after];
  };

  test('lets a whole life of one pass', () => {
    const next = event(60, 'secret.prepared', device, { ...about, generation: 5, commitment: hash });
    assert.equal(
      audit(until(prepared, rotatedFirst, released, next, event(61, 'secret.rotated', device, says(5)))),
      null,
    );
  });
  const cases: readonly [what: string, events: readonly Event[], reason: RegExp][] = [
    ['one that was never prepared', until(released), /no such password/],
    ['one that is given to somebody else', until(prepared, { ...released, person: zed }), /not given to its holder/],
    ['one that is given out for another device', until(prepared, { ...released, device: lobby }), /not for/],
    [
      'one on a grant that allows none',
      told({ issued: null, session: null, ended: null, more: null, extended: null, revoked: null }, prepared, released),
      /allows no secret/,
    ],
    [
      'one that is given out after the end',
      until(prepared, event(39, 'grant.released', person(ada), { grant }), released),
      /is not live/,
    ],
    ['one that is prepared again', until(prepared, prepared), /before/],
    [
      'one that is prepared by another device',
      until({ ...prepared, actor: { kind: 'device', id: lobby } }),
      /not prepared for/,
    ],
    ['a statement of another one', until(prepared, { ...rotatedFirst, generation: 3 }), /another thing/],
  ];
  for (const [what, events, reason] of cases) {
    test(`finds ${what}`, () => assert.match(audit(events)?.message ?? 'nothing was found', reason));
  }
});

test('a session without a credential is let pass when the ledger itself raised the alarm', () => {
  const alarm = event(31, 'alarm.raised', device, {
    alarm: made('alarm', 31),
    kind: 'unknown-credential',
    subject: session,
  });
  assert.equal(audit(told({ issued: null }, alarm)), null);
});

test('each key is rotated for itself', () => {
  assert.equal(
    audit([rotated('a', 'b'), rotated('c', 'd', 'credential'), rotated('b', 'e'), rotated('d', 'f', 'credential')]),
    null,
  );
});

test('two persons who are known for one human are one', () => {
  const linked = event(-60, 'person.linked', person(zed), { person: zed, other: ada });
  const events = told({ lead: { actor: person(zed) } });
  assert.equal(audit(events), null);
  const offence = audit([linked, ...events]);
  assert.deepEqual([offence?.index, /who asked/.test(offence?.message ?? '')], [2, true]);
});

test('of credentials issued long ago a session is counted, of those since then it is held against its credential', () => {
  const forgetting = 110_001;
  const inMilliseconds = (since: number) => ({
    seconds: 30 + since / 1_000,
    jti: made('credential', 30 + since / 1_000),
  });
  const started = ({ jti: credentialId }: { jti: string }, session: string): Event =>
    event(200, 'session.started', device, { ...states('session.started', { credentialId, session }), session });
  const issued = ({ seconds, jti }: { seconds: number; jti: string }): Event => {
    const second = start / 1_000 + Math.floor(seconds);
    return { ...story.issued!, id: made('event', seconds), at: iso(seconds), jti, iat: second, nbf: second };
  };
  const audit = createAudit();
  for (const name of ['submitted', 'lead', 'privacy', 'started']) audit.entry(bytesOf(story[name]!));
  const all = Array.from({ length: forgetting }, (_, since) => inMilliseconds(since));
  for (const each of all) audit.entry(bytesOf(issued(each)));
  const sessions = Array.from({ length: 4 }, () => made('session', 200));
  audit.entry(bytesOf(started(all.at(-1)!, sessions[0]!)));
  audit.entry(bytesOf(started(all.at(-100_000)!, sessions[1]!)));
  assert.deepEqual(audit.finish(), { unknownTypes: 0, lateSessions: 0 });
  audit.entry(bytesOf(started(all[0]!, sessions[2]!)));
  assert.deepEqual(audit.finish(), { unknownTypes: 0, lateSessions: 1 });
  const { size } = audit;
  audit.entry(bytesOf(started(inMilliseconds(forgetting), sessions[3]!)));
  assert.throws(
    () => audit.finish(),
    (error: Error) => error instanceof Offence && error.index === size && /no credential/.test(error.message),
  );
});

test('an event of a type that is not known is counted, and its form is checked', () => {
  const audit = createAudit();
  audit.entry(bytesOf(event(0, 'weather.changed', broker, { rain: true })));
  assert.deepEqual(audit.finish(), { unknownTypes: 1, lateSessions: 0 });
  assert.throws(
    () => audit.entry(bytesOf({ ...event(0, 'weather.changed', broker, {}), actor: 'x' })),
    /member `actor`/,
  );
});
