import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import type { TestPerson } from '../support/issuer.ts';
import { decide, ok, reasonsOf, refused } from '../broker/support/scenario.ts';

/** One human with several accounts, who would like to be two. */
let broker: TestBroker;
before(async () => {
  broker = await newTestBroker({ brokers: 2 });
});
after(async () => {
  try {
    await broker.checkLedger();
  } finally {
    await broker.stop();
  }
});

const trained = { trainingValidUntil: '2099-01-01T00:00:00Z', employer: 'provider' };
const idOf = async (person: TestPerson): Promise<string> => (await ok(broker.call(person, 'GET', '/v1/me'))).id;
const link = (one: string, other: string, who: 'olu' | 'chloe' | 'aud' | 'ada' = 'olu') =>
  broker.call(who, 'PUT', `/v1/persons/${one}/links/${other}`);

interface Accounts {
  readonly engineer: TestPerson;
  readonly lead: TestPerson;
  readonly customer: TestPerson;
}

function accounts(of: string, alias: (account: string) => Partial<TestPerson>): Accounts {
  const account = (name: string, more: Partial<TestPerson>): TestPerson => ({
    sub: `${of}-${name}`,
    ...trained,
    ...alias(name),
    ...more,
  });
  return {
    engineer: account('engineer', { teams: ['room-ops'] }),
    lead: account('lead', { teams: ['room-leads'] }),
    customer: account('customer', { teams: ['customer-approvers:contoso'], employer: 'customer' }),
  };
}

const spellings: Record<string, string> = {
  engineer: 'Straße.Müller@Provider.example',
  lead: 'STRASSE.MÜLLER@provider.example',
  customer: ' straße.mu\u0308ller@PROVIDER.example',
};

const kinds: [string, Accounts, (accounts: Accounts) => Promise<void>][] = [
  [
    'share an e-mail address, however it is written',
    accounts('mail', (name) => ({ email: spellings[name]! })),
    async () => {},
  ],
  ['share a `human` claim', accounts('human', () => ({ human: 'employee-4711' })), async () => {}],
  [
    'were linked by an operator',
    accounts('linked', () => ({})),
    async ({ engineer, lead, customer }) => {
      const [a, b, c] = [await idOf(engineer), await idOf(lead), await idOf(customer)];
      await ok(link(a, b), 204);
      // Linked the other way round, and only through the first.
      await ok(link(c, a), 204);
    },
  ],
  [
    'are chained by an address, a claim and a link',
    {
      engineer: { ...accounts('chain', () => ({})).engineer, email: 'chain@provider.example' },
      lead: { ...accounts('chain', () => ({})).lead, email: 'CHAIN@provider.example', human: 'employee-1' },
      customer: { ...accounts('chain', () => ({})).customer, human: 'employee-1' },
    },
    async () => {},
  ],
];

for (const [name, human, prepare] of kinds) {
  describe(`accounts that ${name} are one human`, () => {
    before(async () => {
      for (const account of Object.values(human) as TestPerson[]) await idOf(account);
      await prepare(human);
    });

    test('who does not approve or deny what they asked for under another name', async () => {
      const request = await broker.ask(human.engineer, 'remote-admin');
      for (const account of [human.lead, human.customer]) {
        for (const verdict of ['approve', 'deny']) {
          assert.deepEqual(reasonsOf(await decide(broker, account, request, { verdict })), ['no-self-approval']);
        }
      }
      await ok(decide(broker, 'chloe', request));
      assert.equal((await ok(decide(broker, 'carmen', request))).state, 'granted');
    });

    test('who passes one stage of a request and not the other', async () => {
      for (const [first, second] of [[human.lead, human.customer] as const, [human.customer, human.lead] as const]) {
        const request = await broker.ask('ada', 'remote-admin');
        await ok(decide(broker, first, request));
        assert.deepEqual(reasonsOf(await decide(broker, second, request)), ['one-human-one-stage']);
        const denied = await ok(decide(broker, second, request, { verdict: 'deny' }));
        assert.equal(denied.state, 'denied', 'a no takes nothing that a second human should give');
      }
    });

    test('who does not review their own break-glass', async () => {
      const { grant } = await broker.ask(human.lead, 'break-glass');
      const review = (who: TestPerson | 'chloe') =>
        broker.call(who, 'POST', `/v1/grants/${grant.id}/review`, { verdict: 'justified' });
      for (const account of [human.lead, human.customer]) {
        assert.deepEqual(reasonsOf(await review(account)), ['review-by-another']);
      }
      await ok(review('chloe'));
    });
  });
}

test('an address that was once shared stays an alias when it is changed', async () => {
  const before = { sub: 'sheds', email: 'sheds@provider.example', teams: ['room-leads'], ...trained };
  const engineer = { sub: 'sheds-too', email: 'sheds@provider.example', teams: ['room-ops'], ...trained };
  await idOf(before);
  const request = await broker.ask(engineer, 'remediate');
  const renamed = { ...before, email: 'someone-else@provider.example' };
  assert.deepEqual(reasonsOf(await decide(broker, renamed, request)), ['no-self-approval']);
});

test('people who share nothing, or only their names, are two', async () => {
  const one = { sub: 'jo-1', name: 'Jo Smith', teams: ['room-ops'], ...trained };
  const other = { sub: 'jo-2', name: 'Jo Smith', teams: ['room-leads'], ...trained };
  const request = await broker.ask(one, 'remediate');
  assert.equal((await ok(decide(broker, other, request))).state, 'granted');
});

test('only operators link, only persons that exist, and a link is an event', async () => {
  const [a, b] = [await idOf({ sub: 'link-a', ...trained }), await idOf({ sub: 'link-b', ...trained })];
  for (const who of ['chloe', 'aud', 'ada'] as const) refused(await link(a, b, who), 403);
  refused(await link(a, a), 400);
  refused(await link(a, 'per_01h455vb4pex5vsknk084sn02q'), 404);
  await ok(link(a, b), 204);
  await ok(link(b, a), 204);
  assert.equal(
    (await broker.events('person.linked')).filter((event) => event.person === a || event.other === a).length,
    1,
  );
});

test('a second account does not mint with the first one’s grant', async () => {
  const [one, other] = ['pair-1', 'pair-2'].map((sub) => ({
    sub,
    email: 'pair@provider.example',
    teams: ['room-ops'],
    ...trained,
  }));
  const { grant } = await broker.ask(one!, 'diagnose');
  refused(await broker.call(other!, 'GET', `/v1/grants/${grant.id}`), 404);
  refused(await broker.call(other!, 'POST', `/v1/grants/${grant.id}/release`), 404);
});

test('an overdue review counts against every account of its holder', async () => {
  const [one, other] = ['due-1', 'due-2'].map((sub) => ({
    sub,
    email: 'due@provider.example',
    teams: ['room-leads'],
    ...trained,
  }));
  const { grant } = await broker.ask(one!, 'break-glass', { duration: 'PT1S' });
  // The very grant as it will be a day later.
  await broker.sql.query('ALTER TABLE grants DISABLE TRIGGER grant_is_fixed_when_made');
  await broker.sql.query(`UPDATE grants SET review_due_at = starts_at + interval '1 second' WHERE id = $1`, [grant.id]);
  await broker.sql.query('ALTER TABLE grants ENABLE TRIGGER grant_is_fixed_when_made');
  await new Promise((passed) => setTimeout(passed, 1_100));
  const wish = { profile: 'break-glass', devices: grant.devices, duration: 'PT1M', reason: 'again' };
  for (const account of [one!, other!]) {
    assert.deepEqual(reasonsOf(await broker.call(account, 'POST', '/v1/requests', wish)), ['review-overdue']);
  }
  await ok(broker.call('chloe', 'POST', `/v1/grants/${grant.id}/review`, { verdict: 'justified' }));
});
