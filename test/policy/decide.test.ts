import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import * as fc from 'fast-check';
import type { Inputs } from '../../src/policy/engine.ts';
import { decide, redecide } from '../../src/policy/index.ts';
import type { Decision, Question } from '../../src/policy/index.ts';
import { questions } from './arbitraries.ts';
import {
  changed,
  decideQuestion,
  edited,
  engineer,
  grantQuestion,
  loaded,
  now,
  shippedFiles,
  useQuestion,
} from './shipped.ts';

const bundle = loaded();
const reasons = (question: Question) => decide(bundle, question).reasons;

test('a yes names the bundle, the policies that permit it and what was taken into account', () => {
  const decision = decide(bundle, useQuestion(bundle));
  assert.equal(decision.allowed, true);
  assert.equal(decision.digest, bundle.digest);
  assert.deepEqual(decision.policies, ['engineers-request']);
  assert.deepEqual(decision.reasons, []);
  assert.match(JSON.stringify(decision.inputs), /"serial":"4711"/);
});

test('a no says which rules forbid it, in the order of the bundle, and what would satisfy each', () => {
  const person = { ...engineer, employer: 'subcontractor', trainingValidUntil: null };
  const profile = bundle.profiles.get('release-secret')!;
  const question = useQuestion(bundle, { person, profile, duration: 7200 });
  assert.deepEqual(decide(bundle, question).policies, [
    'training-is-valid',
    'not-for-subcontractors',
    'longer-than-longest',
  ]);
  assert.deepEqual(reasons(question), [
    {
      policy: 'training-is-valid',
      message: 'your training is not valid now',
      remedy: 'renew your training and sign in again',
    },
    {
      policy: 'not-for-subcontractors',
      message: '`release-secret` is not for people of a subcontractor',
      remedy: 'ask a colleague whose employer is `provider`',
    },
    {
      policy: 'longer-than-longest',
      message: '`PT2H` is longer than `PT30M`, the longest that `release-secret` allows',
      remedy: 'ask for `PT30M` or less',
    },
  ]);
});

test('where nothing permits, the reason is `no-policy-permits`', () => {
  const profile = bundle.profiles.get('break-glass')!;
  const decision = decide(bundle, useQuestion(bundle, { profile }));
  assert.deepEqual(decision.policies, []);
  assert.deepEqual(decision.reasons, [
    { policy: 'no-policy-permits', message: 'no policy permits you to `request` with `break-glass`', remedy: null },
  ]);
  assert.equal(
    reasons({ action: 'manage-tenants', person: engineer, tenant: null, now })[0]!.message,
    'no policy permits you to `manage-tenants`',
  );
});

test('refusals of decisions and endings name their rule', () => {
  const lead = { ...engineer, teams: ['room-leads'] };
  const policies = (question: Question) => reasons(question).map(({ policy }) => policy);
  const both = decideQuestion({ person: lead, isRequester: true, decidedOtherStage: true });
  assert.deepEqual(policies(both), ['no-self-approval', 'one-human-one-stage']);
  assert.equal(reasons(both)[1]!.remedy, 'have someone else decide `lead`');
  assert.deepEqual(policies(grantQuestion({ person: lead, isHolder: true, isSameHuman: true })), ['holder-releases']);
  assert.deepEqual(policies(grantQuestion({ action: 'review', person: lead, isSameHuman: true })), [
    'review-by-another',
  ]);
  assert.deepEqual(policies(grantQuestion({ action: 'cancel' })), ['only-requester-cancels']);
});

test('one employer rule each holds for a stage that both the customer and the provider may decide', () => {
  const stage = { name: 'either', from: ['room-leads', 'customer-approvers:contoso'] };
  const teams = [...stage.from];
  const may = (employer: string | null, teams: string[]) =>
    decide(bundle, decideQuestion({ stage, person: { ...engineer, employer, teams } })).allowed;
  assert.equal(may('provider', teams), true);
  assert.equal(may('customer', teams), true);
  assert.equal(may(null, teams), false);
  assert.equal(may('customer', ['room-leads']), false);
  assert.equal(may('provider', ['customer-approvers:contoso']), false);
});

test('policies can speak of the device, its tenant, the data classes and the time', () => {
  const text = `
    @id("no-secrets-from-old-panels") @message("no") forbid (principal, action == Action::"request", resource)
    when {
      context.profile.dataClasses.contains("System Metadata") && context.tenant == context.tenant &&
      context.device.facts has model && context.device.facts.model like "Panel *" && !context.device.inUse &&
      context.now.toTime() < duration("12h")
    };`;
  const strict = loaded(changed({ 'x.cedar': text }));
  const device = (facts: Record<string, unknown>, inUse = false) => {
    return { ...useQuestion(strict).device, facts, inUse };
  };
  const allowed = (over: Parameters<typeof useQuestion>[1]) => decide(strict, useQuestion(strict, over)).allowed;
  assert.equal(allowed({ device: device({ model: 'Panel 9' }) }), false);
  assert.equal(allowed({ device: device({ model: 'Panel 9' }, true) }), true);
  assert.equal(allowed({ device: device({ model: ['Panel 9'] }) }), true);
  assert.equal(allowed({ device: device({ model: 'Panel 9' }), now: now + 12 * 3_600_000 }), true);
});

test('facts reach a policy only as the schema declares them', () => {
  const wider = loaded(
    edited('schema.cedarschema', 'hostname?: String', 'hostname?: String, build?: Long, tpm?: Bool'),
  );
  const given = (facts: Record<string, unknown>) => {
    const device = { ...useQuestion(wider).device, facts };
    const { context } = decide(wider, useQuestion(wider, { device })).inputs as Inputs;
    return (context['device'] as { facts: unknown }).facts;
  };
  assert.deepEqual(given({ serial: '1', build: 7, tpm: true, colour: 'red' }), { serial: '1', build: 7, tpm: true });
  assert.deepEqual(given({ serial: 1, build: 1.5, tpm: 'yes', hostname: null }), {});
  assert.deepEqual(given({ build: 2 ** 53, serial: 'a\0', hostname: '\ud800', model: 'x'.repeat(1025) }), {});
  assert.deepEqual(given(JSON.parse('{"__proto__": {"serial": "1"}}')), {});
});

test('a policy that cannot be evaluated makes the answer no, even when it would have permitted', () => {
  const overflow = 'context.duration * 9223372036854775807 > 0';
  for (const effect of ['permit', 'forbid']) {
    const text = `@id("sum") @message("m") ${effect} (principal, action == Action::"request", resource) when { ${overflow} };`;
    const failing = loaded(changed({ 'x.cedar': text }));
    const decision = decide(failing, useQuestion(failing));
    assert.equal(decision.allowed, false);
    assert.deepEqual(
      decision.reasons.map(({ policy, message }) => [policy, message]),
      [['sum', '`sum` could not be evaluated']],
    );
  }
});

test('a group of actions stands for each of them', () => {
  const grouped = loaded(
    new Map([
      ...edited(
        'schema.cedarschema',
        'action request, start, mint, extend appliesTo',
        'action use in [any];\naction any;\naction request, start, mint, extend in [use] appliesTo',
      ),
      ['x.cedar', '@id("closed") @message("closed") forbid (principal, action in Action::"any", resource);'],
    ]),
  );
  for (const action of ['request', 'start', 'mint', 'extend'] as const) {
    assert.deepEqual(decide(grouped, useQuestion(grouped, { action })).policies, ['closed']);
  }
  const lead = { ...engineer, teams: ['room-leads'] };
  assert.equal(decide(grouped, decideQuestion({ person: lead })).allowed, true);
});

/** The engine asked in the plainest way: all policies, all inputs, nothing prepared. */
function plainAnswer(inputs: Inputs): Pick<Decision, 'allowed' | 'policies'> {
  const staticPolicies = Object.fromEntries([...bundle.engine.policies.values()].map(({ id, text }) => [id, text]));
  const answer = isAuthorized({ ...inputs, policies: { staticPolicies } });
  if (answer.type === 'failure') return { allowed: false, policies: [] };
  const { decision, diagnostics } = answer.response;
  assert.deepEqual(diagnostics.errors, []);
  const order = [...bundle.engine.policies.keys()];
  return {
    allowed: decision === 'allow',
    policies: diagnostics.reason.sort((a, b) => order.indexOf(a) - order.indexOf(b)),
  };
}

test('for any question: never throws, a no has reasons, and the same inputs give the same decision again', () => {
  fc.assert(
    fc.property(questions(bundle), (question) => {
      const decision = decide(bundle, question);
      assert.equal(decision.allowed, decision.reasons.length === 0);
      assert.equal(decision.digest, bundle.digest);
      const kept: unknown = JSON.parse(JSON.stringify(decision.inputs));
      assert.deepEqual({ ...redecide(bundle, kept), inputs: null }, { ...decision, inputs: null });
    }),
    { numRuns: 1_000 },
  );
});

test('for any question the answer is the one that all policies and all inputs give', () => {
  let yes = 0;
  fc.assert(
    fc.property(questions(bundle), (question) => {
      const { allowed, policies, inputs, reasons } = decide(bundle, question);
      // A value that no policy reads may be one the engine cannot read at all.
      if (reasons.some(({ policy }) => policy === 'evaluation-failed') || !isReadable(inputs)) return;
      assert.deepEqual({ allowed, policies }, plainAnswer(inputs as Inputs));
      if (allowed) yes++;
    }),
    { numRuns: 300 },
  );
  assert.ok(yes > 10, `only ${yes} were allowed`);
});

function isReadable(inputs: unknown): boolean {
  const { duration = 0, total = 0, now } = (inputs as Inputs).context;
  if (!JSON.stringify(inputs).isWellFormed() || /\\ud[89a-f]/.test(JSON.stringify(inputs))) return false;
  return Number.isSafeInteger(duration) && Number.isSafeInteger(total) && now !== null;
}

test('inputs that are rubbish are refused, not thrown at', () => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true }), (inputs) => {
      const decision = redecide(bundle, inputs);
      assert.equal(decision.allowed, false);
      assert.equal(decision.reasons[0]!.policy, 'evaluation-failed');
    }),
  );
  const { inputs } = decide(bundle, useQuestion(bundle)) as { inputs: Inputs };
  const deep = JSON.parse(`${'['.repeat(5_000)}${']'.repeat(5_000)}`) as [];
  const entities = [{ ...inputs.entities[0]!, attrs: { employer: deep } }];
  assert.equal(redecide(bundle, { ...inputs, entities }).allowed, false);
  assert.equal(redecide(bundle, inputs).allowed, true);
});

test('every forbid that ships has a remedy', () => {
  const forbids = [...bundle.engine.policies.values()].filter(({ effect }) => effect === 'forbid');
  assert.ok(forbids.length > 10);
  for (const { id, remedy } of forbids) assert.ok(remedy, id);
  assert.ok(shippedFiles.size > 10);
});
